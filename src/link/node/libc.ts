/**
 * The few system calls the devices need, through koffi.
 *
 * Promises: nothing is loaded before the first device is opened; a missing koffi or another system than Linux is one clear
 * error. Pointers are passed as plain numbers (base + offset), which is the cheapest form; whoever passes one keeps the buffer
 * alive for the length of the call. Another FFI could stand behind this interface.
 */

import { createRequire } from 'node:module';

/** System calls; each answers what C answers (-1: see {@link Libc.errno}). */
export interface Libc {
  open(path: string, flags: number): number;
  close(fd: number): number;
  read(fd: number, address: number, length: number): number;
  write(fd: number, address: number, length: number): number;
  /** `address`: of `count` struct iovec. */
  writev(fd: number, address: number, count: number): number;
  /** sendmmsg(2); `address`: of `count` struct mmsghdr. Answers how many the kernel took. */
  sendmmsg(fd: number, address: number, count: number, flags: number): number;
  ioctl(fd: number, request: number, address: number): number;
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: number, length: number): number;
  setsockopt(fd: number, level: number, option: number, address: number, length: number): number;
  /** `address`: where the two descriptors go, int32 each. */
  socketpair(domain: number, type: number, protocol: number, address: number): number;
  send(fd: number, address: number, length: number, flags: number): number;
  recv(fd: number, address: number, length: number, flags: number): number;
  /** `address`: of a struct msghdr. */
  recvmsg(fd: number, address: number, flags: number): number;
  nameToIndex(name: string): number;
  eventfd(initial: number, flags: number): number;
  /** pipe2(2); `address`: where the two descriptors go, int32 each. */
  pipe(address: number, flags: number): number;
  /** dup3(2): `to` becomes another name of `from`. */
  dup(from: number, to: number, flags: number): number;
  /** poll(2), blocking this thread. */
  poll(address: number, count: number, timeoutMs: number): number;
  memcpy(to: number, from: number, length: number): void;
  /** poll(2) on a thread of the pool; the callback gets its result. */
  pollAsync(address: number, count: number, timeoutMs: number, then: (result: number) => void): void;
  /**
   * Has the event loop of this thread watch the descriptor and call `then` whenever something is to be read, and, with `hasFailed`, once when
   * nothing more is told. Null: this koffi cannot.
   */
  watch(fd: number, then: (hasFailed: boolean) => void): { close(): void } | null;
  errno(): number;
  /** Where the first byte of `bytes` is. Only for buffers of more than 64 bytes, which V8 never moves. */
  addressOf(bytes: Uint8Array): number;
}

type Func = ((...args: unknown[]) => number) & { async(...args: unknown[]): void };
interface Library {
  func(prototype: string): Func;
}
interface Koffi {
  load(name: string): Library;
  errno(): number;
  address(bytes: Uint8Array): bigint | number;
  readonly node?: {
    poll?(fd: number, wanted: { readable: boolean }, then: (seen: { readable: boolean }) => void): PollHandle;
  };
}
interface PollHandle {
  stop(): void;
  close(): void;
}

let loaded: Libc | null = null;

/** A device that cannot be had: `code` is node's ('EPERM', 'ENOENT', 'ERR_NOT_SUPPORTED', ...). */
export class DeviceError extends Error {
  override readonly name: string = 'DeviceError';
  readonly code: string;
  readonly syscall: string;

  constructor(code: string, syscall: string, message: string) {
    super(`${syscall} ${code}: ${message}`);
    this.code = code;
    this.syscall = syscall;
  }
}

const ERRNO_NAMES: Readonly<Record<number, string>> = {
  1: 'EPERM',
  2: 'ENOENT',
  5: 'EIO',
  6: 'ENXIO',
  7: 'E2BIG',
  11: 'EAGAIN',
  12: 'ENOMEM',
  13: 'EACCES',
  14: 'EFAULT',
  16: 'EBUSY',
  17: 'EEXIST',
  19: 'ENODEV',
  22: 'EINVAL',
  23: 'ENFILE',
  24: 'EMFILE',
  32: 'EPIPE',
  34: 'ERANGE',
  77: 'EBADFD',
  95: 'EOPNOTSUPP',
  98: 'EADDRINUSE',
  99: 'EADDRNOTAVAIL',
  100: 'ENETDOWN',
  101: 'ENETUNREACH',
  104: 'ECONNRESET',
  105: 'ENOBUFS',
  107: 'ENOTCONN',
};

/** 'EPERM' for 1, and so on; 'errno 123' for those without a name here. */
export function errnoName(errno: number): string {
  return ERRNO_NAMES[errno] ?? `errno ${errno}`;
}

/** The system's calls. Throws {@link DeviceError} where there are none. */
export function libc(): Libc {
  loaded ??= load();
  return loaded;
}

function load(): Libc {
  if (process.platform !== 'linux') {
    throw new DeviceError('ERR_NOT_SUPPORTED', 'open', `devices need Linux, this is ${process.platform}`);
  }
  let koffi: Koffi;
  try {
    koffi = createRequire(import.meta.url)('koffi') as Koffi;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
    throw new DeviceError('ERR_NOT_SUPPORTED', 'open', `the optional dependency koffi is not installed (${why})`);
  }
  const lib = koffi.load('libc.so.6');
  const open = lib.func('int open(const char *path, int flags)');
  const close = lib.func('int close(int fd)');
  const read = lib.func('int64_t read(int fd, uintptr_t buf, size_t count)');
  const write = lib.func('int64_t write(int fd, uintptr_t buf, size_t count)');
  const writev = lib.func('int64_t writev(int fd, uintptr_t iov, int count)');
  const bind = lib.func('int bind(int fd, uintptr_t address, unsigned int length)');
  const setsockopt = lib.func('int setsockopt(int fd, int level, int option, uintptr_t value, unsigned int length)');
  const socketpair = lib.func('int socketpair(int domain, int type, int protocol, uintptr_t fds)');
  const memcpy = lib.func('uintptr_t memcpy(uintptr_t to, uintptr_t from, size_t length)');
  const ioctl = lib.func('int ioctl(int fd, unsigned long request, uintptr_t arg)');
  const socket = lib.func('int socket(int domain, int type, int protocol)');
  const nameToIndex = lib.func('unsigned int if_nametoindex(const char *name)');
  const eventfd = lib.func('int eventfd(unsigned int initval, int flags)');
  const pipe = lib.func('int pipe2(uintptr_t fds, int flags)');
  const dup = lib.func('int dup3(int from, int to, int flags)');
  const poll = lib.func('int poll(uintptr_t fds, unsigned long n, int timeout)');
  return {
    open: (path, flags) => open(path, flags),
    close: (fd) => close(fd),
    read: (fd, address, length) => read(fd, address, length),
    write: (fd, address, length) => write(fd, address, length),
    writev: (fd, address, count) => writev(fd, address, count),
    bind: (fd, address, length) => bind(fd, address, length),
    setsockopt: (fd, level, option, address, length) => setsockopt(fd, level, option, address, length),
    socketpair: (domain, type, protocol, address) => socketpair(domain, type, protocol, address),
    pipe: (address, flags) => pipe(address, flags),
    dup: (from, to, flags) => dup(from, to, flags),
    poll: (address, count, timeoutMs) => poll(address, count, timeoutMs),
    memcpy: (to, from, length) => void memcpy(to, from, length),
    ioctl: (fd, request, address) => ioctl(fd, request, address),
    socket: (domain, type, protocol) => socket(domain, type, protocol),
    nameToIndex: (name) => nameToIndex(name),
    eventfd: (initial, flags) => eventfd(initial, flags),
    pollAsync: (address, count, timeoutMs, then) => {
      poll.async(address, count, timeoutMs, (error: unknown, result: number) => then(error === null ? result : -1));
    },
    ...messageCalls(lib),
    watch: (fd, then) => watch(koffi, fd, then),
    errno: () => koffi.errno(),
    addressOf: (bytes) => Number(koffi.address(bytes)),
  };
}

/** Those about messages. */
function messageCalls(lib: Library): Pick<Libc, 'send' | 'recv' | 'recvmsg' | 'sendmmsg'> {
  const send = lib.func('int64_t send(int fd, uintptr_t buf, size_t count, int flags)');
  const recv = lib.func('int64_t recv(int fd, uintptr_t buf, size_t count, int flags)');
  const recvmsg = lib.func('int64_t recvmsg(int fd, uintptr_t message, int flags)');
  const sendmmsg = lib.func('int sendmmsg(int fd, uintptr_t messages, unsigned int count, int flags)');
  return {
    send: (fd, address, length, flags) => send(fd, address, length, flags),
    recv: (fd, address, length, flags) => recv(fd, address, length, flags),
    recvmsg: (fd, address, flags) => recvmsg(fd, address, flags),
    sendmmsg: (fd, address, count, flags) => sendmmsg(fd, address, count, flags),
  };
}

/** See {@link Libc.watch}. */
function watch(koffi: Koffi, fd: number, then: (hasFailed: boolean) => void): { close(): void } | null {
  const handle = koffi.node?.poll?.(fd, { readable: true }, ({ readable }) => then(!readable));
  if (handle === undefined) return null;
  return {
    close: () => {
      handle.stop();
      handle.close();
    },
  };
}
