import { httpKind } from './http.ts';
import { modbusKind } from './modbus.ts';
import { mqttSourceKind } from './mqtt.ts';
import { serialKind } from './serial.ts';
import { systemKind } from './system.ts';

export type { OwnMapping, SourceKind, SourceParts } from './source-kind.ts';

/**
 * Every kind of source there is beside the broker. To add one: write the file, add it here and to
 * `config/samples`.
 */
export const sourceKinds = {
  http: httpKind,
  modbus: modbusKind,
  mqtt: mqttSourceKind,
  serial: serialKind,
  system: systemKind,
} as const;
