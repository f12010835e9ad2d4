// @ts-check
/**
 * What `curl` is in the documents' sessions, so that `npm test` wants nothing but Node. It knows the
 * options that they use and refuses others.
 */
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    silent: { type: 'boolean', short: 's' },
    include: { type: 'boolean', short: 'i' },
    'no-buffer': { type: 'boolean', short: 'N' },
    header: { type: 'string', short: 'H', multiple: true },
    request: { type: 'string', short: 'X' },
    data: { type: 'string', short: 'd' },
    'upload-file': { type: 'string', short: 'T' },
    'write-out': { type: 'string', short: 'w' },
  },
});

/** @type {Record<string, string>} */
const headers = { Accept: '*/*', 'User-Agent': 'curl/8' };
for (const header of values.header ?? []) {
  const [name = '', value = ''] = header.split(/: */, 2);
  headers[name] = header.slice(header.indexOf(value, name.length));
}
const { data, 'upload-file': file } = values;
const body = file === undefined ? data : readFileSync(file);
const method = values.request ?? (file ? 'PUT' : data === undefined ? 'GET' : 'POST');
if (body !== undefined) headers['Content-Length'] = String(Buffer.byteLength(body));
if (data !== undefined && !Object.keys(headers).some((name) => /^content-type$/i.test(name))) {
  headers['Content-Type'] = 'application/x-www-form-urlencoded';
}

for (const url of positionals) await ask(url);

/** @param {string} url */
async function ask(url) {
  const asked = request(url, { method, headers, agent: false });
  if (headers.Expect === undefined) asked.end(body);
  else asked.on('continue', () => asked.end(body)).flushHeaders();
  /** @type {import('node:http').IncomingMessage} */
  const answer = await new Promise((resolve, reject) => {
    asked.on('response', resolve).on('error', reject);
  });
  if (values.include) {
    const fields = answer.rawHeaders.map((text, i) => (i % 2 ? `${text}\n` : `${text}: `));
    const { statusCode, statusMessage } = answer;
    process.stdout.write(`HTTP/1.1 ${statusCode} ${statusMessage}\n${fields.join('')}\n`);
  }
  const { 'write-out': end } = values;
  let whole = '';
  for await (const chunk of answer) {
    // In one piece with what is written behind it: another program's line may come between.
    if (end !== undefined) whole += chunk;
    else process.stdout.write(chunk);
  }
  if (end !== undefined) process.stdout.write(whole + end.replaceAll('\\n', '\n'));
  asked.destroy(); // the body that nobody has asked for is not sent
}
