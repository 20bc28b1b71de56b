import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { modbusKind } from '../../src/source/modbus.ts';
import { type Register, spansOf } from '../../src/source/modbus-registers.ts';
import { eventually, type RunningService } from '../services/child.ts';
import { hasPymodbus, modbusServer } from '../services/modbus.ts';
import { runSource, sourceParts, stopRuns } from './run-source.ts';

const services: RunningService[] = [];
afterEach(async () => {
  await stopRuns();
  for (const service of services.splice(0).reverse()) await service.stop();
});

async function startServer(kind: 'tcp' | 'rtu') {
  const server = await modbusServer(kind);
  services.push(server.service);
  return server;
}

const devices = {
  pump: {
    unit: 1,
    registers: {
      temperature: { address: 0, type: 'int16', scale: 0.1 },
      outside: { address: 1, type: 'int16', scale: 0.1, offset: 0.5 },
      flow: { address: 10, type: 'float32' },
      level: { address: 20, type: 'float32', order: 'wordSwap' },
      total: { address: 30, type: 'uint64' },
      balance: { address: 150, type: 'int32' },
      humidity: { table: 'input', address: 0 },
      running: { table: 'coil', address: 0, type: 'bool' },
      fault: { table: 'coil', address: 1, type: 'bool' },
      door: { table: 'discrete', address: 1, type: 'bool' },
    },
  },
  meter: { unit: 2, registers: { volts: { address: 5 }, amperes: { address: 9 } } },
};
const create = (options: object) =>
  modbusKind.create(modbusKind.options.parse({ devices, every: '100ms', ...options }), {
    ...sourceParts('plant'),
  });

describe.runIf(hasPymodbus())('an independent Modbus server (pymodbus)', () => {
  test.for(['tcp', 'rtu'] as const)(
    '%s: registers become fields of their devices',
    async (kind) => {
      const { url } = await startServer(kind);
      const run = await runSource(create({ url, baudRate: 115_200 }));
      await eventually(() =>
        expect(run.messages.some(({ topic }) => topic === 'plant/meter')).toBe(true),
      );
      const pump = run.messages.find(({ topic }) => topic === 'plant/pump');
      expect(String(pump?.payload)).toContain('"total":9223372036854775813');
      expect(JSON.parse(String(pump?.payload))).toEqual({
        temperature: 21.5,
        outside: -3.5,
        flow: 21.5,
        level: -3.25,
        total: 2 ** 63,
        balance: -70_000,
        humidity: 40,
        running: true,
        fault: false,
        door: true,
      });
      // It refuses the registers between the two that it has: they are asked for one by one.
      await eventually(() => {
        const meter = run.messages.findLast(({ topic }) => topic === 'plant/meter');
        expect(JSON.parse(String(meter?.payload))).toEqual({ volts: 230, amperes: 16 });
      });
    },
  );

  test('a device that does not answer keeps nobody else from being heard', async () => {
    const { url } = await startServer('tcp');
    const silent = { unit: 9, registers: { x: { address: 0 } } };
    const run = await runSource(
      create({ url, timeout: '200ms', devices: { silent, meter: devices.meter } }),
    );
    await eventually(() => expect(run.messages.length).toBeGreaterThan(3));
    expect(new Set(run.messages.map(({ topic }) => topic))).toEqual(new Set(['plant/meter']));
  });

  test('a line that breaks ends the run; a new one goes on', async () => {
    const { url, service } = await startServer('tcp');
    const run = await runSource(create({ url }));
    await eventually(() => expect(run.messages.length).toBeGreaterThan(0));
    await service.kill();
    expect(String(await run.running)).toContain('closed');
    expect(String(await (await runSource(create({ url }))).running)).toContain('ECONNREFUSED');
    await service.restart();
    const again = await runSource(create({ url }));
    await eventually(() => expect(again.messages.length).toBeGreaterThan(0));
  });
});

test('no question asks for more than a device may be asked, and each register is asked for once', () => {
  const register = fc.record({
    field: fc.string(),
    table: fc.constantFrom('coil', 'discrete', 'holding', 'input'),
    address: fc.integer({ min: 0, max: 65_532 }),
    type: fc.constantFrom('bool', 'int16', 'float32', 'uint64'),
    order: fc.constant('big' as const),
    scale: fc.constant(1),
    offset: fc.constant(0),
  }) as fc.Arbitrary<Register>;
  fc.assert(
    fc.property(fc.array(register, { maxLength: 50 }), (registers) => {
      const spans = spansOf(registers);
      expect(spans.flatMap((span) => span.registers)).toHaveLength(registers.length);
      for (const { table, address, length, registers: within } of spans) {
        const bits = table === 'coil' || table === 'discrete';
        expect(length).toBeLessThanOrEqual(bits ? 2_000 : 125);
        for (const each of within) {
          const size = bits ? 1 : { bool: 1, int16: 1, float32: 2, uint64: 4 }[each.type as 'bool'];
          expect(each.address).toBeGreaterThanOrEqual(address);
          expect(each.address + size).toBeLessThanOrEqual(address + length);
        }
      }
    }),
  );
});
