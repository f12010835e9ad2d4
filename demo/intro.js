// @ts-check
/** What the terminal shows before the log. */
import { ATTEMPT_TIMEOUT_MS, COOLDOWN_MS } from './limits.js';

/**
 * @param {string} origin
 * @param {readonly { number: number, url: string }[]} backends
 */
export function introForBackends(origin, backends) {
  const names = backends.map(({ number, url }) => `${number} is ${new URL(url).host}`);
  return `express-tiny-proxy demo. Open this page, it leads you through in two minutes:

     ${origin}/

Or stay here. The proxy: ${origin}/api
The backends behind it: ${names.join(', ')}.
${introToLimits()}

1. The backends take turns.
     curl -i ${origin}/api/hello
2. One fails: the next one answers. Two hops in the log line, "attempt": 2 in the answer.
     curl -X POST ${origin}/backends/2/500
     for i in 1 2 3; do curl ${origin}/api/hello; done
3. A POST is sent once: where its backend fails, so does it.
     for i in 1 2 3; do curl -d n=1 ${origin}/api/orders; done
4. Five failures in a row open its breaker (a line in the log): it is left out, then probed.
     for i in $(seq 15); do curl -s ${origin}/api/hello; done; curl ${origin}/status
5. All are down: 502, and when all breakers are open, 503 with Retry-After.
     curl -X POST ${origin}/backends/all/refuse
     for i in $(seq 6); do curl -i ${origin}/api/hello; done
6. Your own mix: POST /backends/{1,2,3,all}/STATE, and STATE is ok, 500, refuse (its port is
   closed), hang (no answer), slow (2 s), or die (in mid-body).
     curl -X POST ${origin}/backends/all/ok

Ctrl-C ends the demo. The log:`;
}

/**
 * @param {string} origin
 * @param {readonly string[]} urls
 */
export function introForUrls(origin, urls) {
  return `express-tiny-proxy demo: ${origin}/api, before ${urls.join(', ')}
The page to open: ${origin}/
${introToLimits()}

     curl -i ${origin}/api/
     curl ${origin}/status

Stop one of your backends and see the retry. Ctrl-C ends the demo. The log:`;
}

function introToLimits() {
  const [attempt, cooldown] = [ATTEMPT_TIMEOUT_MS / 1000, COOLDOWN_MS / 1000];
  return `Each request prints its log line here, its hops last. In this demo an attempt may take
${attempt} s, and a breaker stays open for ${cooldown} s.`;
}
