export {
  type RedisClient,
  type SharedBreakers,
  type SharedBreakersOptions,
  type SharedBreakersStatus,
  shareBreakers,
} from './share-breakers.js';
