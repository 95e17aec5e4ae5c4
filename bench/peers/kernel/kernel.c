/*
 * The kernel's end of every comparison, and the kernel as a peer: a plain C program over its sockets.
 *
 *   kernel serve ADDRESS CC
 *     serves discard (PORT_BASE + 9), chargen (+ 19) and echo (+ 7), one thread, epoll. Prints "ready".
 *   kernel load MODE ADDRESS CONNECTIONS WARM_MS RUN_MS CC [PID]
 *     MODE is 'in' (writes to discard), 'back' (asks + 29 to connect back, and writes to that), 'out' (reads from chargen), 'drop' (the
 *     same, but has the kernel throw away what has come, MSG_TRUNC, as `iperf3 --skip-rx-copy` does: what the reader itself costs, and
 *     what it does to the caches, is left out) or 'echo' (one byte there and back again, one connection). After WARM_MS it counts for RUN_MS and prints one line of JSON. What is
 *     counted for 'in' is what the other end has acknowledged. PID is the process under test: its CPU time is counted too,
 *     of all its threads and of its first one.
 *   kernel plain DEVICE
 *     leaves neither segmentation nor checksums of what is sent to DEVICE, and has what it receives joined (GRO). 'apart' in place of 'plain'
 *     has it not joined.
 *
 * CC is the congestion control of every socket; a word that the kernel does not know is an error, not a default.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <netinet/in.h>

enum { PORT_BASE = 7000, ECHO = 7, DISCARD = 9, CHARGEN = 19, BACK = 29 };
enum { CHUNK = 128 << 10, EVENTS = 256, SAMPLES = 1 << 21 };

static char chunk[CHUNK];

static void fail(const char *what) {
  fprintf(stderr, "kernel: %s: %s\n", what, strerror(errno));
  exit(1);
}

static int64_t now_ns(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static void set_congestion(int fd, const char *name) {
  if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, strlen(name)) != 0) fail(name);
}

static void set_nodelay(int fd) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static struct sockaddr_in address_of(const char *text, int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (inet_pton(AF_INET, text, &address.sin_addr) != 1) {
    fprintf(stderr, "kernel: '%s' is no IPv4 address\n", text);
    exit(2);
  }
  return address;
}

static void allow_many_files(void) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

static void watch(int poll, int fd, uint32_t events, uint64_t data) {
  struct epoll_event event = {.events = events, .data.u64 = data};
  if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
}

/* ---- plain ---- */

static void plain(const char *device, unsigned is_joined) {
  const struct ethtool_value settings[] = {{ETHTOOL_STSO, 0}, {ETHTOOL_STXCSUM, 0}, {ETHTOOL_SGRO, is_joined}};
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
    struct ethtool_value value = settings[i];
    struct ifreq request = {.ifr_data = (char *)&value};
    strncpy(request.ifr_name, device, IFNAMSIZ - 1);
    if (ioctl(fd, SIOCETHTOOL, &request) != 0) fail(device);
  }
}

/* ---- serve ---- */

static void serve_one(int fd, int service, uint32_t events) {
  ssize_t n = 1;
  if (service == CHARGEN) {
    char byte;
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && recv(fd, &byte, 1, MSG_DONTWAIT) == 0) n = 0;
    for (int i = 0; n > 0 && i < 16; i++) n = send(fd, chunk, 64 << 10, MSG_DONTWAIT | MSG_NOSIGNAL);
  } else {
    for (int i = 0; n > 0 && i < 16; i++) {
      n = recv(fd, chunk, CHUNK, MSG_DONTWAIT);
      if (n > 0 && service == ECHO) n = send(fd, chunk, n, MSG_NOSIGNAL);
      if (service == ECHO) break;
    }
  }
  if (n == 0 || (n < 0 && errno != EAGAIN)) close(fd);
}

static void serve(const char *address, const char *cc) {
  static const int services[] = {ECHO, DISCARD, CHARGEN};
  int listeners[3];
  int poll = epoll_create1(0);
  for (int i = 0; i < 3; i++) {
    struct sockaddr_in at = address_of(address, PORT_BASE + services[i]);
    int one = 1, fd = listeners[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    set_congestion(fd, cc);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0) fail("bind");
    if (listen(fd, 16384) != 0) fail("listen");
    watch(poll, fd, EPOLLIN, (uint64_t)i << 32 | 0xffffffff);
  }
  puts("ready");
  fflush(stdout);
  for (;;) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(poll, events, EVENTS, -1);
    for (int i = 0; i < count; i++) {
      int which = events[i].data.u64 >> 32, fd = (int)(uint32_t)events[i].data.u64;
      if (fd != -1) {
        serve_one(fd, services[which], events[i].events);
        continue;
      }
      fd = accept4(listeners[which], NULL, NULL, SOCK_NONBLOCK);
      if (fd < 0) continue;
      set_nodelay(fd);
      watch(poll, fd, services[which] == CHARGEN ? EPOLLIN | EPOLLOUT : EPOLLIN, (uint64_t)which << 32 | (uint32_t)fd);
    }
  }
}

/* ---- load ---- */

struct usage {
  double process, first;
};

/* utime + stime of one stat file of /proc, seconds. */
static double stat_seconds(const char *path) {
  char text[1024];
  FILE *file = fopen(path, "r");
  if (file == NULL) return 0;
  size_t length = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[length] = 0;
  const char *at = strrchr(text, ')');
  unsigned long user = 0, system = 0;
  if (at != NULL) sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
  return (double)(user + system) / sysconf(_SC_CLK_TCK);
}

static struct usage usage_of(int pid) {
  struct usage usage = {0, 0};
  if (pid == 0) return usage;
  char path[96];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  usage.process = stat_seconds(path);
  snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, pid);
  usage.first = stat_seconds(path);
  return usage;
}

static int connect_to(const char *address, int port, const char *cc) {
  struct sockaddr_in at = address_of(address, port);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0) fail("socket");
  set_congestion(fd, cc);
  struct timeval limit = {.tv_sec = 5};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (connect(fd, (struct sockaddr *)&at, sizeof at) != 0) fail("connect");
  return fd;
}

/* Asks the other end to connect to us, and waits until it has. */
static int called_back(const char *address, const char *cc) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(PORT_BASE + BACK)};
  int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  set_congestion(listener, cc);
  /* On our end's own address, as the other end may listen on the same port of another. */
  int call = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in to = address_of(address, PORT_BASE + BACK), own;
  socklen_t length = sizeof own;
  int probe = socket(AF_INET, SOCK_DGRAM, 0);
  if (connect(probe, (struct sockaddr *)&to, sizeof to) != 0) fail("route");
  getsockname(probe, (struct sockaddr *)&own, &length);
  close(probe);
  at.sin_addr = own.sin_addr;
  /* Over loopback both have one address: another of its network then. */
  if (own.sin_addr.s_addr == to.sin_addr.s_addr) at.sin_addr.s_addr = htonl(ntohl(own.sin_addr.s_addr) + 1);
  if (bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 16) != 0) fail("listen");
  at.sin_port = 0;
  if (bind(call, (struct sockaddr *)&at, sizeof at) != 0) fail("bind");
  if (connect(call, (struct sockaddr *)&to, sizeof to) != 0) fail("connect");
  struct timeval limit = {.tv_sec = 5};
  setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  int fd = accept(listener, NULL, NULL);
  if (fd < 0) fail("accept");
  close(listener);
  return fd; /* The call stays open until this program ends. */
}

static uint64_t acknowledged(const int *fds, int count) {
  uint64_t bytes = 0;
  for (int i = 0; i < count; i++) {
    struct tcp_info info = {0};
    socklen_t length = sizeof info;
    if (getsockopt(fds[i], IPPROTO_TCP, TCP_INFO, &info, &length) == 0) bytes += info.tcpi_bytes_acked;
  }
  return bytes;
}

static uint64_t retransmitted(const int *fds, int count) {
  uint64_t segments = 0;
  for (int i = 0; i < count; i++) {
    struct tcp_info info = {0};
    socklen_t length = sizeof info;
    if (getsockopt(fds[i], IPPROTO_TCP, TCP_INFO, &info, &length) == 0) segments += info.tcpi_total_retrans;
  }
  return segments;
}

static int compare(const void *a, const void *b) {
  uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
  return left < right ? -1 : left > right;
}

/* Quantiles of the samples in microseconds, as a JSON list of [quantile, value]. */
static void print_quantiles(uint32_t *samples, int count) {
  static const double at[] = {0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9999};
  qsort(samples, count, sizeof *samples, compare);
  printf(",\"quantiles\":[");
  for (size_t i = 0; i < sizeof at / sizeof *at; i++)
    printf("%s[%g,%.2f]", i ? "," : "", at[i], count ? samples[(int)(at[i] * (count - 1))] / 1000.0 : 0);
  printf("]");
}

struct load {
  int *fds, count, poll, closed;
  uint64_t bytes, answers;
};

static void drop(struct load *load, int fd) {
  epoll_ctl(load->poll, EPOLL_CTL_DEL, fd, NULL);
  load->closed++;
}

static void step(struct load *load, char mode, int fd) {
  ssize_t n = 1;
  for (int i = 0; n > 0 && i < 8; i++) {
    n = mode == 'i' || mode == 'b' ? send(fd, chunk, CHUNK, MSG_DONTWAIT | MSG_NOSIGNAL)
                                   : recv(fd, chunk, CHUNK, mode == 'd' ? MSG_DONTWAIT | MSG_TRUNC : MSG_DONTWAIT);
    if (n > 0) load->bytes += n;
  }
  if (n == 0 || (n < 0 && errno != EAGAIN)) drop(load, fd);
}

static void run_until(struct load *load, char mode, int64_t end) {
  for (int64_t now = now_ns(); now < end && load->closed < load->count; now = now_ns()) {
    struct epoll_event events[EVENTS];
    int n = epoll_wait(load->poll, events, EVENTS, (int)((end - now) / 1000000) + 1);
    for (int i = 0; i < n; i++) step(load, mode, (int)events[i].data.u64);
  }
}

static void report(const struct load *load, double seconds, uint64_t bytes, struct usage before, struct usage after) {
  printf("{\"seconds\":%.6f,\"bytes\":%llu,\"answers\":%llu,\"connections\":%d,\"lost\":%d,\"retransmitted\":%llu,\"cpu\":%.3f,\"hostCpu\":%.3f",
         seconds, (unsigned long long)bytes, (unsigned long long)load->answers, load->count, load->closed,
         (unsigned long long)retransmitted(load->fds, load->count), after.process - before.process, after.first - before.first);
}

/*
 * Many connections share a budget of send buffers: left alone, ten thousand of them fill the kernel's memory for TCP, and then it is
 * that limit which is measured. 0: left to the kernel.
 */
static int send_buffer_of(int count) {
  enum { BUDGET = 256 << 20, LEAST = 64 << 10, FEW = 100 };
  if (count <= FEW) return 0;
  return BUDGET / count > LEAST ? BUDGET / count : LEAST;
}

static void load_bulk(char mode, const char *address, int count, int64_t warm, int64_t run, const char *cc, int pid) {
  int port = PORT_BASE + (mode == 'i' ? DISCARD : CHARGEN);
  int is_writing = mode == 'i' || mode == 'b';
  struct load load = {.fds = calloc(count, sizeof(int)), .count = count, .poll = epoll_create1(0)};
  int share = send_buffer_of(count);
  for (int i = 0; i < count; i++) {
    load.fds[i] = mode == 'b' ? called_back(address, cc) : connect_to(address, port, cc);
    if (share > 0) setsockopt(load.fds[i], SOL_SOCKET, SO_SNDBUF, &share, sizeof share);
    watch(load.poll, load.fds[i], is_writing ? EPOLLOUT : EPOLLIN, (uint32_t)load.fds[i]);
  }
  run_until(&load, mode, now_ns() + warm);
  uint64_t start = is_writing ? acknowledged(load.fds, count) : load.bytes;
  struct usage before = usage_of(pid);
  int64_t began = now_ns();
  run_until(&load, mode, began + run);
  double seconds = (now_ns() - began) / 1e9;
  struct usage after = usage_of(pid);
  uint64_t bytes = (is_writing ? acknowledged(load.fds, count) : load.bytes) - start;
  report(&load, seconds, bytes, before, after);
  puts("}");
  fflush(stdout);
  /* Closed with what is unread or unsent: reset, so that nothing lingers into the next case. */
  struct linger hard = {.l_onoff = 1, .l_linger = 0};
  for (int i = 0; i < count; i++) {
    setsockopt(load.fds[i], SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(load.fds[i]);
  }
}

static void load_echo(const char *address, int64_t warm, int64_t run, const char *cc, int pid) {
  static uint32_t samples[SAMPLES];
  int fd = connect_to(address, PORT_BASE + ECHO, cc), count = 0;
  set_nodelay(fd);
  struct timeval limit = {.tv_sec = 5};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  struct load load = {.fds = &fd, .count = 1};
  struct usage before = {0, 0};
  int64_t began = now_ns(), counted = began + warm, end = counted + run;
  for (int64_t at = began; at < end && count < SAMPLES;) {
    char byte = 7;
    if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || recv(fd, &byte, 1, 0) != 1) {
      load.closed = 1;
      break;
    }
    int64_t now = now_ns();
    if (at >= counted) {
      if (count == 0) before = usage_of(pid);
      samples[count++] = (uint32_t)(now - at);
      now = now_ns();
    }
    at = now;
  }
  load.answers = count;
  report(&load, (now_ns() - counted) / 1e9, count, before, usage_of(pid));
  print_quantiles(samples, count);
  puts("}");
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  allow_many_files();
  memset(chunk, 7, sizeof chunk);
  if (argc == 4 && strcmp(argv[1], "serve") == 0) serve(argv[2], argv[3]);
  if (argc == 3 && (strcmp(argv[1], "plain") == 0 || strcmp(argv[1], "apart") == 0)) {
    plain(argv[2], argv[1][0] == 'p');
    return 0;
  }
  if (argc < 8 || strcmp(argv[1], "load") != 0) {
    fprintf(stderr, "usage: kernel serve ADDRESS CC | kernel plain DEVICE | kernel load in|back|out|drop|echo ADDRESS CONNECTIONS WARM_MS RUN_MS CC [PID]\n");
    return 2;
  }
  int count = atoi(argv[4]), pid = argc > 8 ? atoi(argv[8]) : 0;
  int64_t warm = atoll(argv[5]) * 1000000, run = atoll(argv[6]) * 1000000;
  if (strcmp(argv[2], "echo") == 0) load_echo(argv[3], warm, run, argv[7], pid);
  else load_bulk(argv[2][0], argv[3], count, warm, run, argv[7], pid);
  return 0;
}
