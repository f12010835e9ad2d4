/** What the events call a backend that `status()` has under this URL. */
export function eventName(url: string): string {
  if (url.startsWith('unix:')) return url.replace(/#https?:.*$/, '');
  const { protocol, hostname, port } = new URL(url);
  return `${hostname}:${port || (protocol === 'https:' ? 443 : 80)}`;
}

/** Without the query, which may hold a key. A socket's path has none, but the URL behind it may. */
export function shownUrl(url: string): string {
  if (url.startsWith('unix:')) return url.replace(/(#https?:[^?]*)\?.*$/, '$1');
  return url.replace(/\?[^#]*/, '');
}
