/** Who may ask, and who may change something. */
import type { IncomingMessage } from 'node:http';
import { type Answer, failure } from './answer.ts';

/** Whether that address is this machine's own loopback. */
export function isLoopback(host: string): boolean {
  return host === '::1' || host === 'localhost' || /^(::ffff:)?127(\.\d{1,3}){3}$/.test(host);
}

/** A page of another site cannot make a browser send these: its own name is in `Host`. */
export function namesLoopback(header: string | undefined, configured: string): boolean {
  // Only a browser can be tricked, and browsers always send it.
  if (header === undefined) return true;
  const host = header
    .replace(/:\d*$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase();
  return isLoopback(host) || host === configured.toLowerCase() || host.endsWith('.localhost');
}

/**
 * Why this request may change nothing; undefined when it may. It must come from this machine, name
 * it, and be what no page of another site can make a browser send without asking: JSON.
 */
export function refusalOf(request: IncomingMessage, configured: string): Answer | undefined {
  const { host, origin, 'content-type': type = '' } = request.headers;
  if (!isLoopback(request.socket.remoteAddress ?? '')) {
    return failure(403, 'Only programs on this machine may do that.');
  }
  if (!namesLoopback(host, configured)) {
    return failure(421, 'Only requests to localhost may do that.');
  }
  if (origin !== undefined && origin.toLowerCase() !== `http://${host?.toLowerCase()}`) {
    return failure(403, `Pages of ${origin.slice(0, 200)} may not do that.`);
  }
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    return failure(415, 'The body must be JSON, with Content-Type: application/json.');
  }
  return undefined;
}
