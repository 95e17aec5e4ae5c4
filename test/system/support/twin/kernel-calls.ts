/** The system calls with which a test is an application on the kernel's TCP, each done when it returns: no event loop, no waiting. */
import { createRequire } from 'node:module';
import { errnoName } from '../../../../src/link/node/libc.ts';

type Func = (...args: unknown[]) => number;
interface Koffi {
  load(name: string): { func(prototype: string): Func };
  errno(): number;
}

export interface KernelCalls {
  open(path: string): number;
  close(fd: number): number;
  unshareNetwork(): void;
  enterNetwork(fd: number): void;
  socket(family: 4 | 6): number;
  option(fd: number, level: number, name: number, value: number | Int32Array): void;
  bind(fd: number, address: Uint8Array): void;
  listen(fd: number): void;
  /** -1: nobody is there. */
  accept(fd: number): number;
  connect(fd: number, address: Uint8Array): void;
  shutdownWrite(fd: number): void;
  send(fd: number, bytes: Uint8Array): number;
  /** Bytes received, 0 at the end; or the name of an error. */
  recv(fd: number, into: Uint8Array): number | string;
  /** Byte 0 of TCP_INFO: the kernel's number of the state. */
  tcpState(fd: number): number;
  readFrame(fd: number, into: Uint8Array): number;
  writeFrame(fd: number, bytes: Uint8Array): void;
}

const CLONE_NEWNET = 0x40000000;
const SOCK_STREAM_NONBLOCK_CLOEXEC = 1 | 0o4000 | 0o2000000;
const MSG_DONTWAIT_NOSIGNAL = 0x40 | 0x4000;
const IPPROTO_TCP = 6;
const TCP_INFO = 11;
const EAGAIN = 11;
const EINPROGRESS = 115;

let loaded: KernelCalls | null = null;

/** Loaded with the first use. Each call that fails unforeseen throws. */
export function kernelCalls(): KernelCalls {
  loaded ??= load();
  return loaded;
}

function load(): KernelCalls {
  const koffi = createRequire(import.meta.url)('koffi') as Koffi;
  const lib = koffi.load('libc.so.6');
  const calls = {
    open: lib.func('int open(const char *path, int flags)'),
    close: lib.func('int close(int fd)'),
    unshare: lib.func('int unshare(int flags)'),
    setns: lib.func('int setns(int fd, int type)'),
    socket: lib.func('int socket(int domain, int type, int protocol)'),
    setsockopt: lib.func('int setsockopt(int fd, int level, int name, const void *value, unsigned int length)'),
    getsockopt: lib.func('int getsockopt(int fd, int level, int name, void *value, void *length)'),
    bind: lib.func('int bind(int fd, const void *address, unsigned int length)'),
    listen: lib.func('int listen(int fd, int backlog)'),
    accept: lib.func('int accept4(int fd, void *address, void *length, int flags)'),
    connect: lib.func('int connect(int fd, const void *address, unsigned int length)'),
    shutdown: lib.func('int shutdown(int fd, int how)'),
    send: lib.func('int64_t send(int fd, const void *bytes, size_t length, int flags)'),
    recv: lib.func('int64_t recv(int fd, void *bytes, size_t length, int flags)'),
    read: lib.func('int64_t read(int fd, void *bytes, size_t length)'),
    write: lib.func('int64_t write(int fd, const void *bytes, size_t length)'),
  };
  const must = (what: string, result: number): number => {
    if (result < 0) throw new Error(`${what}: ${errnoName(koffi.errno())}`);
    return result;
  };
  return {
    open: (path) => must(`open ${path}`, calls.open(path, 0o2000000)),
    close: (fd) => calls.close(fd),
    unshareNetwork: () => void must('unshare', calls.unshare(CLONE_NEWNET)),
    enterNetwork: (fd) => void must('setns', calls.setns(fd, CLONE_NEWNET)),
    socket: (family) => must('socket', calls.socket(family === 4 ? 2 : 10, SOCK_STREAM_NONBLOCK_CLOEXEC, 0)),
    option: (fd, level, name, value) => {
      const words = typeof value === 'number' ? Int32Array.of(value) : value;
      must(`setsockopt ${name}`, calls.setsockopt(fd, level, name, words, words.byteLength));
    },
    bind: (fd, address) => void must('bind', calls.bind(fd, address, address.length)),
    listen: (fd) => void must('listen', calls.listen(fd, 16)),
    accept: (fd) => calls.accept(fd, null, null, 0o4000 | 0o2000000),
    connect: (fd, address) => {
      if (calls.connect(fd, address, address.length) < 0 && koffi.errno() !== EINPROGRESS) must('connect', -1);
    },
    shutdownWrite: (fd) => void calls.shutdown(fd, 1),
    send: (fd, bytes) => calls.send(fd, bytes, bytes.length, MSG_DONTWAIT_NOSIGNAL),
    recv: (fd, into) => {
      const length = calls.recv(fd, into, into.length, MSG_DONTWAIT_NOSIGNAL);
      return length < 0 ? errorOf(koffi.errno()) : length;
    },
    tcpState: (fd) => {
      const info = new Uint8Array(256);
      const length = Int32Array.of(info.length);
      must('getsockopt TCP_INFO', calls.getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, length));
      return info[0]!;
    },
    readFrame: (fd, into) => {
      const length = calls.read(fd, into, into.length);
      return length < 0 && koffi.errno() === EAGAIN ? 0 : must('read', length);
    },
    writeFrame: (fd, bytes) => void must('write', calls.write(fd, bytes, bytes.length)),
  };
}

const MORE_ERRORS: Readonly<Record<number, string>> = {
  11: 'EAGAIN',
  110: 'ETIMEDOUT',
  111: 'ECONNREFUSED',
  113: 'EHOSTUNREACH',
  92: 'ENOPROTOOPT',
};

function errorOf(errno: number): string {
  return MORE_ERRORS[errno] ?? errnoName(errno);
}
