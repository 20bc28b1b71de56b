import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { Admission } from '../../src/broker/admission.ts';

let port = 0;
/** Addresses that a test on one machine cannot come from. */
function socketFrom(remoteAddress: string): Socket {
  port += 1;
  const socket = Object.assign(new EventEmitter(), {
    ...{ remoteAddress, remotePort: port, localPort: 1883 },
    destroy: () => socket.emit('close'),
  });
  return socket as unknown as Socket;
}

test('one address cannot take all the places', () => {
  const admission = new Admission(100, 0.75);
  const greedy = Array.from({ length: 100 }, () => socketFrom('192.0.2.1'));
  const problems = greedy.map((socket) => admission.admit(socket, 0));
  expect(problems.filter((problem) => problem === undefined)).toHaveLength(75);
  expect(problems.at(-1)).toBe('address_connections');
  expect(admission.admit(socketFrom('192.0.2.2'), 0)).toBeUndefined();
  greedy[0]!.emit('close');
  expect(admission.admit(socketFrom('192.0.2.1'), 0)).toBeUndefined();
  expect(admission.admit(socketFrom('192.0.2.1'), 0)).toBe('address_connections');
});

test('this machine may take all the places', () => {
  const admission = new Admission(10, 0.5);
  for (const address of ['127.0.0.1', '::1', '::ffff:127.0.0.2', '127.0.0.1']) {
    expect(admission.admit(socketFrom(address), 0)).toBeUndefined();
  }
  for (let index = 4; index < 10; index++) {
    expect(admission.admit(socketFrom('127.0.0.1'), 0)).toBeUndefined();
  }
  expect(admission.admit(socketFrom('127.0.0.1'), 0)).toBe('connections');
});

test('who has been silent longest makes room, but nobody who has sent a CONNECT', () => {
  const admission = new Admission(3, 1);
  const closed: string[] = [];
  const [first, second, third] = ['a', 'b', 'c'].map((name, index) => {
    const socket = socketFrom('192.0.2.1');
    socket.once('close', () => closed.push(name));
    expect(admission.admit(socket, index)).toBeUndefined();
    return socket;
  });
  admission.heard(first!);
  expect(admission.admit(socketFrom('192.0.2.2'), 500)).toBe('connections');
  expect(admission.admit(socketFrom('192.0.2.2'), 5000)).toBeUndefined();
  expect(closed).toEqual(['b']);
  admission.heard(third!);
  expect(second!.remoteAddress).toBe('192.0.2.1');
  expect(admission.count).toBe(3);
});
