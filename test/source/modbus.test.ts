import { type AddressInfo, createServer, type Socket } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { checksums } from '../../src/source/checksum.ts';
import { modbusKind } from '../../src/source/modbus.ts';
import { type Register, spansOf } from '../../src/source/modbus-registers.ts';
import { available, eventually } from '../services/child.ts';
import { hasPymodbus, modbusServer } from '../services/modbus.ts';
import { startSerialLine } from '../services/pty.ts';
import { runSource, sourceParts, stopRuns } from './run-source.ts';

const services: { stop(): Promise<unknown> }[] = [];
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

/** Answers each question of Modbus TCP as it is told: with bytes, or not at all. */
async function hostileServer(
  answer: (unit: number, good: Buffer, connection: number) => Buffer | undefined,
): Promise<{ readonly url: string; connections: number }> {
  const state = { url: '', connections: 0 };
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    state.connections += 1;
    const connection = state.connections;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (question) => {
      const unit = question[6]!;
      const [address, count] = [question.readUInt16BE(8), question.readUInt16BE(10)];
      const good = Buffer.alloc(9 + 2 * count);
      question.copy(good, 0, 0, 8);
      good.writeUInt16BE(3 + 2 * count, 4);
      good[8] = 2 * count;
      for (let index = 0; index < count; index++) good.writeUInt16BE(address, 9 + 2 * index);
      const bytes = answer(unit, good, connection);
      if (bytes !== undefined) socket.write(bytes);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  services.push({
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  });
  state.url = `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return state;
}

const meterAndBad = {
  bad: { unit: 3, registers: { x: { address: 7 } } },
  meter: { unit: 1, registers: { volts: { address: 230 } } },
};

test.for([
  ['half an answer', (good: Buffer) => good.subarray(0, 7)],
  ['nonsense', () => Buffer.alloc(200, 0xaa)],
  ['an answer with a length that is never reached', () => Buffer.from('00010000ffff0303', 'hex')],
] as const)(
  'after %s of one device the others are heard by a new connection',
  async ([, spoil]) => {
    const server = await hostileServer((unit, good) => (unit === 3 ? spoil(good) : good));
    const source = create({ url: server.url, timeout: '100ms', devices: meterAndBad });
    const heard: string[] = [];
    for (let runs = 0; runs < 4 && heard.length < 3; runs++) {
      const run = await runSource(source);
      expect(String(await run.running)).toMatch(/No device answers|closed/);
      for (const { topic, payload } of run.messages) heard.push(`${topic} ${payload}`);
    }
    expect(heard.length).toBeGreaterThan(1);
    expect(new Set(heard)).toEqual(new Set(['plant/meter {"volts":230}']));
  },
);

test('a far side that is gone without a word is connected to anew', async () => {
  const server = await hostileServer((_unit, good, connection) =>
    connection === 1 ? undefined : good,
  );
  const source = create({ url: server.url, timeout: '100ms', devices: meterAndBad });
  expect(String(await (await runSource(source)).running)).toContain('No device answers');
  const run = await runSource(source);
  await eventually(() => expect(run.texts()).toContain('{"volts":230}'));
});

test('a device that refuses every question has answered: its connection stays', async () => {
  let asked = 0;
  const server = await hostileServer((_unit, good) => {
    asked += 1;
    const head = good.subarray(0, 4);
    return Buffer.concat([head, Buffer.from([0, 3, good[6]!, good[7]! | 0x80, 4])]);
  });
  const refusing = { unit: 1, registers: { x: { address: 1 }, y: { address: 99 } } };
  await runSource(create({ url: server.url, devices: { refusing } }));
  await eventually(() => expect(asked).toBeGreaterThan(10));
  expect(server.connections).toBe(1);
});

test.runIf(available('socat'))(
  'on a serial line a late answer is not taken for that to the next question',
  async () => {
    const line = await startSerialLine();
    services.push(line);
    const url = `rtu://${line.port}`;
    const two = {
      volts: { unit: 1, registers: { volts: { address: 230 } } },
      amperes: { unit: 1, registers: { amperes: { address: 16 } } },
    };
    const source = create({ url, baudRate: 115_200, timeout: '300ms', devices: two });
    const run = await runSource(source);
    // The board answers every question with its address, the first three after the time is over.
    let seen = 0;
    for (let question = 0; question < 8; question++) {
      await eventually(() => expect(line.received().length).toBeGreaterThanOrEqual(seen + 8));
      const asked = line.received().subarray(seen, seen + 8);
      seen += 8;
      const body = Buffer.from([asked[0]!, asked[1]!, 2, asked[2]!, asked[3]!]);
      const answer = Buffer.concat([body, checksums['crc16-modbus'].of(body)]);
      const wait = question < 3 ? 400 : 0;
      await new Promise((resolve) => setTimeout(resolve, wait));
      await line.send(answer);
    }
    await eventually(() => expect(run.messages.length).toBeGreaterThan(3));
    const told = new Set(run.messages.map(({ topic, payload }) => `${topic} ${payload}`));
    expect(told).toEqual(new Set(['plant/volts {"volts":230}', 'plant/amperes {"amperes":16}']));
  },
);

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
