/**
 * Words for people. `error`: data was lost or a person must act. `warn`: unexpected, recovered.
 * `info`: the life of parts. `debug`: never per event. Messages are constant; details are fields.
 */
export interface Logger {
  error(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  debug(fields: LogFields, message: string): void;
}
export type LogFields = Readonly<Record<string, unknown>>;

const nothing = (): void => {};
/** Says nothing. For tests and tools. */
export const silentLogger: Logger = {
  error: nothing,
  warn: nothing,
  info: nothing,
  debug: nothing,
};
