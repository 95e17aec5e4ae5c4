/**
 * This package over a TUN device, MTU 1500: connections on the host path or offloaded, with and without the device's offloads; and over an
 * AF_PACKET socket, nothing left to the wire.
 */
import { startOverWire, wireMissing } from '../over-wire.ts';
import {
  compiled,
  DEVICE,
  KERNEL_ADDRESS,
  removeDevice,
  SERVER_ADDRESS,
  WIRE,
  WIRE_KERNEL_ADDRESS,
  WIRE_SERVER_ADDRESS,
} from '../places.ts';
import { Program } from '../shell.ts';
import type { Running, Subject } from '../subject.ts';

type Place = 'host' | 'target' | 'worker' | 'thread';

function subject(name: string, what: string, place: Place, offloads: boolean): Subject {
  const start = async (): Promise<Running> => {
    removeDevice();
    const args = [DEVICE, KERNEL_ADDRESS, SERVER_ADDRESS, place, offloads ? 'all' : 'none'];
    const program = await new Program(process.execPath, [compiled('chimney/server.js'), ...args]).ready();
    return { pid: program.pid, address: SERVER_ADDRESS, said: () => program.said, stop: () => program.stop() };
  };
  return {
    name,
    what,
    modes: ['in', 'back', 'out', 'drop', 'echo'],
    kind: 'ours',
    offloads,
    missing: () => (process.getuid?.() === 0 ? null : 'making a device needs root'),
    start,
  };
}

function packetSubject(name: string, what: string, place: Place, isJoined: boolean): Subject {
  const args = [compiled('chimney/server.js'), WIRE, WIRE_KERNEL_ADDRESS, WIRE_SERVER_ADDRESS, place, 'none', 'packet'];
  return {
    name,
    what,
    modes: isJoined ? ['in', 'back', 'out', 'drop', 'echo'] : ['in', 'back', 'out'],
    kind: 'ours',
    offloads: false,
    missing: wireMissing,
    start: () => startOverWire(process.execPath, args, isJoined),
  };
}

export const chimneySubjects: readonly Subject[] = [
  subject('chimney', 'stack.net over TUN, in the application’s thread, virtio-net header, TSO', 'host', true),
  subject('chimney engine', 'the same, each connection offloaded to the engine target in that thread', 'target', true),
  subject(
    'chimney worker',
    'the same, each connection offloaded to the NIC thread that owns the device',
    'worker',
    true,
  ),
  subject(
    'chimney thread',
    'the stack’s callbacks, application and stack in a thread that owns the device, TSO',
    'thread',
    true,
  ),
  subject('chimney thread plain', 'the same, nothing left to the device', 'thread', false),
  subject('chimney plain', 'stack.net over TUN, nothing left to the device', 'host', false),
  packetSubject(
    'chimney packet',
    'stack.net over AF_PACKET on a veth without TSO; its kernel joins (GRO)',
    'host',
    true,
  ),
  packetSubject('chimney thread packet', 'the callbacks on the device’s thread, over the same wire', 'thread', true),
  packetSubject('chimney packet apart', 'as chimney packet, and nothing is joined but here', 'host', false),
  packetSubject(
    'chimney thread packet apart',
    'the callbacks on the device’s thread, nothing is joined but here',
    'thread',
    false,
  ),
];
