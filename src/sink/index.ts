import { consoleKind } from './console.ts';
import { fileKind } from './file.ts';
import { httpKind } from './http.ts';
import { influxdbKind } from './influxdb.ts';
import { mqttKind } from './mqtt.ts';

export type { BatchLimits, SinkKind, SinkParts } from './sink-kind.ts';

/** Every kind of sink there is. To add one: write the file, add it here and to `config/samples`. */
export const sinkKinds = {
  console: consoleKind,
  file: fileKind,
  http: httpKind,
  influxdb: influxdbKind,
  mqtt: mqttKind,
} as const;
