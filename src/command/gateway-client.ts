/** How commands speak to a gateway that runs: over its admin interface, on this machine. */
import { loadConfig } from '../config/load.ts';
import { type ErrorCode, errorTable, GatewayError, messageOf } from '../platform/errors.ts';
import type { Context } from './command.ts';

/** The gateway of the configuration. Every call throws a `GatewayError` that says what to do. */
export interface GatewayClient {
  readonly url: string;
  /** The JSON that answers a GET. */
  get(path: string): Promise<unknown>;
  /** The JSON that answers a POST. */
  post(path: string, body: unknown): Promise<unknown>;
  /** The lines of JSON that answer a POST, as they come; ends with the signal. */
  lines(path: string, body: unknown, signal: AbortSignal): AsyncIterable<unknown>;
}

export async function openGatewayClient(context: Context): Promise<GatewayClient> {
  const { options, environment, cwd } = context;
  const { config } = await loadConfig({
    ...{ environment, cwd },
    ...(options.config === undefined ? {} : { path: options.config }),
  });
  const url = urlOf(config.admin.listen);
  const ask = async (path: string, init: RequestInit): Promise<Response> => {
    let response: Response;
    try {
      response = await fetch(`${url}${path}`, init);
    } catch (error) {
      if (context.signal.aborted) throw error;
      throw new GatewayError('GW_ADMIN_UNREACHABLE', `${url} (${messageOf(error)})`, error);
    }
    if (response.ok) return response;
    throw await refusalOf(response, url);
  };
  const post = (path: string, body: unknown, signal: AbortSignal): Promise<Response> =>
    ask(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal,
    });
  return {
    url,
    get: async (path) => await (await ask(path, { signal: context.signal })).json(),
    post: async (path, body) => await (await post(path, body, context.signal)).json(),
    async *lines(path, body, signal) {
      const response = await post(path, body, signal);
      let rest = '';
      const decoder = new TextDecoder();
      for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
        rest += decoder.decode(chunk, { stream: true });
        const whole = rest.split('\n');
        rest = whole.pop()!;
        for (const line of whole) if (line !== '') yield JSON.parse(line);
      }
    },
  };
}

function urlOf({ host, port }: { readonly host: string; readonly port: number }): string {
  if (port === 0) {
    throw new GatewayError(
      'GW_CONFIG_INVALID',
      'admin.listen has port 0, so the gateway cannot be found. Give it a port.',
    );
  }
  const here = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${here.includes(':') ? `[${here}]` : here}:${port}`;
}

/** What the gateway says, or that something else is answering. */
async function refusalOf(response: Response, url: string): Promise<GatewayError> {
  const text = await response.text();
  try {
    const { code, message } = (JSON.parse(text) as { error: { code: string; message: string } })
      .error;
    return new SaidByGateway(
      code in errorTable ? (code as ErrorCode) : 'GW_ADMIN_REFUSED',
      message,
    );
  } catch {
    const said = `${response.status} ${text.trim().slice(0, 200)}`;
    return new GatewayError(
      'GW_ADMIN_REFUSED',
      `what listens at ${url} answers ${said}. Is it a Tidegate of this version?`,
    );
  }
}

/** An error of the gateway, in its own words. */
export class SaidByGateway extends GatewayError {
  constructor(code: ErrorCode, message: string) {
    super(code, message);
    this.message = message;
  }
}
