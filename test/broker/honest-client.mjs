/**
 * An honest client in a process of its own, so that what a test does in its process is not in its
 * times: a QoS 1 message every 2 ms at most, each when the last is acknowledged.
 * <port>; a line on stdin asks for `{"trips","worst","late"}` since the last: milliseconds, and the
 * longest that this process was itself late meanwhile.
 */
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

const packet = (first, ...bytes) => Buffer.from([first, bytes.length, ...bytes]);
const text = (value) => [0, value.length, ...Buffer.from(value)];

const socket = connect({ port: Number(process.argv[2]), host: '127.0.0.1', noDelay: true });
let id = 0;
let sentAt = 0;
let isWaiting = false;
let figures = { trips: 0, worst: 0, late: 0 };
const publish = () => {
  id = (id % 60_000) + 1;
  sentAt = performance.now();
  isWaiting = true;
  socket.write(packet(0x32, ...text('honest/a'), id >> 8, id & 0xff, 0x31));
};
let got = Buffer.alloc(0);
socket.on('data', (chunk) => {
  got = Buffer.concat([got, chunk]);
  for (; got.length >= 4; got = got.subarray(4)) {
    if (got[0] === 0x40) {
      isWaiting = false;
      figures.trips += 1;
      figures.worst = Math.max(figures.worst, performance.now() - sentAt);
      setTimeout(publish, 2);
    } else publish();
  }
});
socket.on('close', () => process.exit(1));
socket.on('error', () => process.exit(1));
socket.write(packet(0x10, ...text('MQTT'), 4, 2, 0, 0, ...text('honest')));

// How late a timer is says how busy the machine is, whatever the broker does.
const everyMs = 5;
let due = performance.now() + everyMs;
const tick = () => {
  const now = performance.now();
  figures.late = Math.max(figures.late, now - due);
  due = now + everyMs;
  setTimeout(tick, everyMs);
};
setTimeout(tick, everyMs);

createInterface({ input: process.stdin }).on('line', () => {
  // A trip under way counts as far as it has come.
  if (isWaiting) figures.worst = Math.max(figures.worst, performance.now() - sentAt);
  process.stdout.write(`${JSON.stringify(figures)}\n`);
  figures = { trips: 0, worst: 0, late: 0 };
});
