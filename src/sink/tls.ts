import { z } from 'zod';
import { pem } from '../kind/kind.ts';
import type { Secrets } from '../platform/secrets.ts';

/** How the far side proves who it is, and how we do. */
export const tlsOptions = z
  .strictObject({
    ca: pem
      .optional()
      .describe('PEM: the authority that signed the server, when it is not a public one.'),
    cert: pem.optional().describe('PEM: our certificate, when the server asks for one.'),
    key: pem.optional().describe('PEM: the key of our certificate.'),
    rejectUnauthorized: z
      .boolean()
      .default(true)
      .describe('false accepts any server: for trials only.'),
  })
  .refine((tls) => (tls.cert === undefined) === (tls.key === undefined), {
    message: 'cert and key belong together',
  });

/** What `node:tls` and MQTT.js take. */
export interface TlsSettings {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly rejectUnauthorized?: boolean;
}

export type TlsOptions = z.output<typeof tlsOptions>;

/** Reads the files and secrets: anew for every connection, so that a renewed certificate counts. */
export async function tlsOf(
  options: TlsOptions | undefined,
  secrets: Secrets,
): Promise<TlsSettings> {
  if (options === undefined) return {};
  const { ca, cert, key, rejectUnauthorized } = options;
  return {
    rejectUnauthorized,
    ...(ca !== undefined && { ca: await secrets.pem(ca) }),
    ...(cert !== undefined && { cert: await secrets.pem(cert) }),
    ...(key !== undefined && { key: await secrets.pem(key) }),
  };
}
