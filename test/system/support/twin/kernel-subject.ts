/**
 * The kernel's TCP as a subject: a TUN device in a network namespace of this thread's own, whose far end is the script.
 *
 * The kernel does its work inside the write to the device, and what it sends lies there to be read when the write returns. Its timers are
 * put far away (rto_min of the route, no tail loss probe, no compressed SACKs, ACKs not delayed), so that nothing depends on how quick this
 * machine is.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { openTun } from '../../../../src/link/node/open-tun.ts';
import { parseIp } from '../../../../src/wire/ip-address.ts';
import { ourByte, peerByte } from '../../../support/packet-script/endpoint.ts';
import { kernelCalls } from './kernel-calls.ts';
import { type Application, PEER4, PEER6, SUBJECT4, SUBJECT6, type Subject, type SubjectOptions } from './subject.ts';

const STATES: readonly string[] = [
  '-',
  'ESTABLISHED',
  'SYN-SENT',
  'SYN-RECEIVED',
  'FIN-WAIT-1',
  'FIN-WAIT-2',
  'TIME-WAIT',
  'CLOSED',
  'CLOSE-WAIT',
  'LAST-ACK',
  'LISTEN',
  'CLOSING',
  'SYN-RECEIVED',
];

/** Settings of the namespace; those that a kernel does not have are left out. */
const SETTINGS: Readonly<Record<string, string>> = {
  'ipv4/tcp_timestamps': '1',
  'ipv4/tcp_sack': '1',
  'ipv4/tcp_dsack': '1',
  'ipv4/tcp_ecn': '0',
  'ipv4/tcp_early_retrans': '0',
  'ipv4/tcp_comp_sack_nr': '0',
  'ipv4/tcp_syncookies': '0',
  'ipv4/tcp_fastopen': '0',
  'ipv4/tcp_autocorking': '0',
  'ipv4/tcp_invalid_ratelimit': '0',
  'ipv4/tcp_challenge_ack_limit': '2147483647',
  'ipv4/tcp_no_metrics_save': '1',
  'ipv4/tcp_moderate_rcvbuf': '0',
  'ipv4/tcp_congestion_control': 'reno',
  'ipv4/icmp_ratelimit': '0',
  'ipv4/icmp_msgs_per_sec': '100000',
  'ipv4/icmp_msgs_burst': '100000',
  'ipv6/icmp/ratelimit': '0',
  'ipv4/conf/all/rp_filter': '0',
  'ipv4/conf/default/rp_filter': '0',
  'ipv4/conf/all/accept_source_route': '0',
  'ipv6/conf/default/accept_ra': '0',
  'ipv6/conf/default/router_solicitations': '0',
  'ipv6/conf/default/addr_gen_mode': '1',
};

const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_RCVBUF = 8;
const SO_OOBINLINE = 10;
const SO_LINGER = 13;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const IPPROTO_ICMPV6 = 58;
const PACKET_TOO_BIG = 2;
const FRAME_MAX = 65_600;

/** The kernel's TCP. */
export class KernelSubject implements Subject {
  readonly name = 'kernel';
  readonly #home: number;
  readonly #namespace: number;
  readonly #device: number;
  readonly #name: string;
  #knowsPath6 = false;
  readonly #frame = new Uint8Array(FRAME_MAX);
  #application: KernelApplication | null = null;

  constructor() {
    const calls = kernelCalls();
    this.#home = calls.open('/proc/thread-self/ns/net');
    calls.unshareNetwork();
    try {
      this.#namespace = calls.open('/proc/thread-self/ns/net');
      for (const [key, value] of Object.entries(SETTINGS)) set(key, value);
      const [device] = openTun({
        offload: 'none',
        kernelThread: false,
        bulk: false,
        addresses: [`${SUBJECT4}/24`, `${SUBJECT6}/64`],
      });
      this.#device = device!.fd;
      this.#name = device!.name;
      this.#setRoute('-4', '10.209.0.0/24');
      this.#setRoute('-6', 'fd00:209::/64');
    } finally {
      calls.enterNetwork(this.#home);
    }
    this.collect();
  }

  #setRoute(family: '-4' | '-6', net: string): void {
    // The metric is that of the route which came with the address.
    const metric = family === '-6' ? ['metric', '256'] : [];
    const route = ['route', 'replace', net, 'dev', this.#name, ...metric, 'quickack', '1', 'rto_min', '60s'];
    execFileSync('ip', [family, ...route], { stdio: 'pipe' });
  }

  /** The MTUs of paths that former scripts told of. Of IPv6 they hang on the route. */
  #forgetPaths(): void {
    set('ipv4/route/flush', '1');
    if (this.#knowsPath6) this.#setRoute('-6', 'fd00:209::/64');
    this.#knowsPath6 = false;
  }

  open(options: SubjectOptions): Application {
    this.#inside(() => this.#forgetPaths());
    this.#application = new KernelApplication(options, (act) => this.#inside(act));
    return this.#application;
  }

  close(): void {
    this.#application?.abandon();
    this.#application = null;
    this.collect();
  }

  exchange(packet: Uint8Array): Uint8Array[] {
    if (packet[0]! >> 4 === 6 && packet[6] === IPPROTO_ICMPV6 && packet[40] === PACKET_TOO_BIG) this.#knowsPath6 = true;
    kernelCalls().writeFrame(this.#device, packet);
    return this.collect();
  }

  collect(): Uint8Array[] {
    this.#application?.attend();
    const out: Uint8Array[] = [];
    for (;;) {
      const length = kernelCalls().readFrame(this.#device, this.#frame);
      if (length === 0) return out;
      out.push(this.#frame.slice(0, length));
    }
  }

  ripen(): Uint8Array[] {
    return this.collect();
  }

  dispose(): void {
    this.close();
    for (const fd of [this.#device, this.#namespace, this.#home]) kernelCalls().close(fd);
  }

  #inside<T>(act: () => T): T {
    kernelCalls().enterNetwork(this.#namespace);
    try {
      return act();
    } finally {
      kernelCalls().enterNetwork(this.#home);
    }
  }
}

function set(key: string, value: string): void {
  try {
    writeFileSync(`/proc/sys/net/${key}`, value);
  } catch {
    // This kernel has no such setting; what it does instead is then seen.
  }
}

class KernelApplication implements Application {
  readonly #options: SubjectOptions;
  readonly #inside: <T>(act: () => T) => T;
  readonly #buffer = new Uint8Array(1 << 17);
  #listener = -1;
  #socket = -1;
  #written = 0;
  #toWrite = 0;
  #read = 0;
  #isHeld = false;
  #end = '';
  #wrong = '';

  constructor(options: SubjectOptions, inside: <T>(act: () => T) => T) {
    this.#options = options;
    this.#inside = inside;
  }

  listen(port: number): void {
    this.#listener = this.#make(port);
    kernelCalls().listen(this.#listener);
  }

  connect(localPort: number, remotePort: number): void {
    this.#socket = this.#make(localPort);
    kernelCalls().connect(this.#socket, this.#address(false, remotePort));
  }

  #make(port: number): number {
    const calls = kernelCalls();
    const fd = this.#inside(() => calls.socket(this.#options.family));
    calls.option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    calls.option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    calls.option(fd, SOL_SOCKET, SO_OOBINLINE, 1);
    // The kernel takes twice what it is told, half of it for its own.
    calls.option(fd, SOL_SOCKET, SO_RCVBUF, this.#options.receiveBuffer ?? 65_536);
    calls.bind(fd, this.#address(true, port));
    return fd;
  }

  #address(isOurs: boolean, port: number): Uint8Array {
    const { family } = this.#options;
    const out = new Uint8Array(family === 4 ? 16 : 28);
    out[0] = family === 4 ? 2 : 10;
    out[2] = port >> 8;
    out[3] = port & 0xff;
    const text = family === 4 ? (isOurs ? SUBJECT4 : PEER4) : isOurs ? SUBJECT6 : PEER6;
    out.set(parseIp(text)!.bytes, family === 4 ? 4 : 8);
    return out;
  }

  /** Accepts, and reads what is there. */
  attend(): void {
    const calls = kernelCalls();
    if (this.#socket < 0 && this.#listener >= 0 && this.#end === '') this.#socket = calls.accept(this.#listener);
    this.#pour();
    while (this.#socket >= 0 && !this.#isHeld && this.#end === '') {
      const length = calls.recv(this.#socket, this.#buffer);
      if (length === 'EAGAIN') return;
      if (typeof length === 'string') this.#end = ` ${length}`;
      else if (length === 0) this.#end = ' end';
      else this.#take(length);
    }
  }

  #take(length: number): void {
    for (let i = 0; i < length; i++) {
      if (this.#buffer[i] !== peerByte(this.#read + i)) this.#wrong = ' WRONG';
    }
    this.#read += length;
  }

  write(bytes: number): void {
    this.#toWrite += bytes;
    this.#pour();
  }

  /** What the kernel does not take yet, because nothing is connected, waits. */
  #pour(): void {
    if (this.#socket < 0 || this.#toWrite === 0) return;
    const text = Uint8Array.from({ length: this.#toWrite }, (_, i) => ourByte(this.#written + i));
    const taken = kernelCalls().send(this.#socket, text);
    if (taken <= 0) return;
    this.#written += taken;
    this.#toWrite -= taken;
  }

  shutdown(): void {
    if (this.#socket >= 0) kernelCalls().shutdownWrite(this.#socket);
  }

  close(): void {
    if (this.#socket < 0) return;
    kernelCalls().close(this.#socket);
    this.#socket = -1;
    if (this.#end === '') this.#end = ' closed';
  }

  abort(): void {
    if (this.#socket < 0) return;
    kernelCalls().option(this.#socket, SOL_SOCKET, SO_LINGER, Int32Array.of(1, 0));
    this.close();
  }

  holdReading(isHeld: boolean): void {
    this.#isHeld = isHeld;
  }

  seen(): string {
    this.attend();
    return `read ${this.#read}${this.#isHeld && this.#end !== ' closed' ? '' : this.#end}${this.#wrong}`;
  }

  state(): string {
    if (this.#socket >= 0) return STATES[kernelCalls().tcpState(this.#socket)]!;
    return this.#end === '' ? '-' : '?';
  }

  unlisten(): void {
    if (this.#listener >= 0) kernelCalls().close(this.#listener);
    this.#listener = -1;
  }

  abandon(): void {
    this.abort();
    this.unlisten();
  }
}
