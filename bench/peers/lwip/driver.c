/*
 * lwIP as a peer: `driver DEVICE ADDRESS all|none|packet` serves discard, chargen and echo over a TUN device with the raw API, or over an
 * AF_PACKET socket on an Ethernet interface ('packet').
 *
 * Built twice: with Debian's liblwip, whose own options it has (windows of 64 KiB, 'none' only), and with Debian's source of lwIP and
 * large/lwipopts.h. 'all' puts a virtio-net header before each packet: received super-segments are taken whole and without a copy,
 * checksums are left to the device both ways. lwIP cannot send super-segments. 'packet' takes what the kernel has joined as 'all' does, and
 * sends complete frames, as many a system call as there are.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "lwip/etharp.h"
#include "lwip/init.h"
#include "lwip/ip4.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/sys.h"
#include "lwip/tcp.h"
#include "lwip/timeouts.h"
#include "netif/ethernet.h"
#if !NO_SYS
#include "lwip/tcpip.h"
#else
#define LOCK_TCPIP_CORE()
#define UNLOCK_TCPIP_CORE()
#endif

enum { PORT_BASE = 7000, ECHO = 7, DISCARD = 9, CHARGEN = 19, MTU = 1500 };
enum { ROOM = 65535, ROOMS = 256, BATCH = 64, CHUNK = 65535, IOVECS = 64, SMALL = 4096 };

static int device;
static int has_header;
static int is_packet;
static char chunk[CHUNK];

static void fail(const char *what) {
  fprintf(stderr, "lwip: %s: %s\n", what, strerror(errno));
  exit(1);
}

/* ---- the device ---- */

static int open_tun(const char *name) {
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  if (fd < 0) fail("/dev/net/tun");
  struct ifreq request = {0};
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI | (has_header ? IFF_VNET_HDR : 0);
  if (ioctl(fd, TUNSETIFF, &request) < 0) fail("TUNSETIFF");
  if (has_header && ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0) fail("TUNSETOFFLOAD");
  return fd;
}

static int open_packet(const char *name, uint8_t *mac) {
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0), one = 1, size = 8 << 20;
  if (fd < 0) fail("AF_PACKET");
  struct ifreq request = {0};
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (ioctl(fd, SIOCGIFHWADDR, &request) < 0) fail("SIOCGIFHWADDR");
  memcpy(mac, request.ifr_hwaddr.sa_data, 6);
  if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) < 0) fail("PACKET_VNET_HDR");
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
  if (ioctl(fd, SIOCGIFINDEX, &request) < 0) fail("SIOCGIFINDEX");
  struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = request.ifr_ifindex};
  if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0) fail("bind");
  return fd;
}

static uint32_t add(uint32_t sum, const uint8_t *at, int length) {
  for (int i = 0; i < length; i += 2) sum += (uint32_t)(at[i] << 8 | at[i + 1]);
  return sum;
}

/* The device completes the checksum: it wants the sum of the pseudo-header in its place. */
static void leave_checksum(uint8_t *packet, uint16_t length, struct virtio_net_hdr *header) {
  uint16_t ip = (packet[0] & 15) * 4;
  if (packet[9] != 6) return;
  uint32_t sum = add(6 + (uint32_t)(length - ip), packet + 12, 8);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  packet[ip + 16] = (uint8_t)(sum >> 8);
  packet[ip + 17] = (uint8_t)sum;
  header->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
  header->csum_start = ip;
  header->csum_offset = 16;
}

static err_t transmit(struct netif *netif, struct pbuf *p, const ip4_addr_t *next) {
  (void)netif;
  (void)next;
  struct virtio_net_hdr header = {0};
  struct iovec parts[IOVECS];
  int count = 0;
  if (has_header) {
    leave_checksum(p->payload, p->tot_len, &header);
    parts[count++] = (struct iovec){&header, sizeof header};
  }
  for (struct pbuf *q = p; q != NULL && count < IOVECS; q = q->next) parts[count++] = (struct iovec){q->payload, q->len};
  return writev(device, parts, count) < 0 ? ERR_IF : ERR_OK;
}

/* ---- frames that wait to be sent together ---- */

static const struct virtio_net_hdr nothing_left;
static struct pbuf *waiting[BATCH];
static int waiting_count;

/* A full queue of the interface is waited for, not for ever. */
static void flush(void) {
  struct mmsghdr messages[BATCH] = {0};
  static struct iovec parts[BATCH][IOVECS];
  for (int i = 0; i < waiting_count; i++) {
    int count = 0;
    parts[i][count++] = (struct iovec){(void *)&nothing_left, sizeof nothing_left};
    for (struct pbuf *q = waiting[i]; q != NULL && count < IOVECS; q = q->next) parts[i][count++] = (struct iovec){q->payload, q->len};
    messages[i].msg_hdr.msg_iov = parts[i];
    messages[i].msg_hdr.msg_iovlen = count;
  }
  for (int sent = 0, tries = 0; sent < waiting_count && tries < 400;) {
    int n = sendmmsg(device, messages + sent, waiting_count - sent, MSG_DONTWAIT);
    if (n > 0) {
      sent += n;
      continue;
    }
    tries++;
    struct pollfd room = {.fd = device, .events = POLLOUT};
    if (errno == ENOBUFS) usleep(20);
    else poll(&room, 1, 1);
  }
  for (int i = 0; i < waiting_count; i++) pbuf_free(waiting[i]);
  waiting_count = 0;
}

static err_t queue_frame(struct netif *netif, struct pbuf *p) {
  (void)netif;
  pbuf_ref(p);
  waiting[waiting_count++] = p;
  if (waiting_count == BATCH) flush();
  return ERR_OK;
}

#if LWIP_ARP
static err_t set_up_packet(struct netif *netif) {
  netif->name[0] = 'e';
  netif->name[1] = 'n';
  netif->mtu = MTU;
  netif->hwaddr_len = 6;
  netif->flags |= NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET;
  netif->output = etharp_output;
  netif->linkoutput = queue_frame;
#if LWIP_CHECKSUM_CTRL_PER_NETIF
  /* What is joined was checked. */
  NETIF_SET_CHECKSUM_CTRL(netif, NETIF_CHECKSUM_ENABLE_ALL & ~NETIF_CHECKSUM_CHECK_TCP);
#endif
  return ERR_OK;
}
#endif

static err_t set_up(struct netif *netif) {
  netif->name[0] = 't';
  netif->name[1] = 'n';
  netif->mtu = MTU;
  netif->output = transmit;
#if LWIP_CHECKSUM_CTRL_PER_NETIF
  if (has_header) NETIF_SET_CHECKSUM_CTRL(netif, NETIF_CHECKSUM_ENABLE_ALL & ~(NETIF_CHECKSUM_GEN_TCP | NETIF_CHECKSUM_CHECK_TCP));
#endif
  return ERR_OK;
}

/* ---- received packets: lent to lwIP without a copy as long as there are rooms ---- */

#if LWIP_SUPPORT_CUSTOM_PBUF
struct room {
  struct pbuf_custom pbuf;
  struct room *next;
  uint8_t bytes[ROOM];
};

static struct room *free_rooms;

static void give_back(struct pbuf *p) {
  struct room *room = (struct room *)p;
  room->next = free_rooms;
  free_rooms = room;
}

static void make_rooms(void) {
  for (int i = 0; i < ROOMS; i++) {
    struct room *room = malloc(sizeof *room);
    room->pbuf.custom_free_function = give_back;
    give_back(&room->pbuf.pbuf);
  }
}

static struct pbuf *lend(const uint8_t *bytes, uint16_t length) {
  struct room *room = free_rooms;
  if (room == NULL || bytes != room->bytes || length < SMALL) return NULL;
  free_rooms = room->next;
  return pbuf_alloced_custom(PBUF_RAW, length, PBUF_REF, &room->pbuf, room->bytes, ROOM);
}

static uint8_t *place(uint8_t *otherwise) { return free_rooms != NULL ? free_rooms->bytes : otherwise; }
#else
static void make_rooms(void) {}
static struct pbuf *lend(const uint8_t *bytes, uint16_t length) { return (void)bytes, (void)length, NULL; }
static uint8_t *place(uint8_t *otherwise) { return otherwise; }
#endif

/* Reads one packet and hands it over; 0: there is none. */
static int receive(struct netif *netif) {
  static uint8_t spare[ROOM];
  struct virtio_net_hdr header;
  uint8_t *bytes = place(spare);
  struct iovec parts[2] = {{&header, sizeof header}, {bytes, ROOM}};
  ssize_t n = has_header ? readv(device, parts, 2) - (ssize_t)sizeof header : read(device, bytes, ROOM);
  if (n <= 0) return 0;
  struct pbuf *p = lend(bytes, (uint16_t)n);
  if (p == NULL) {
    p = pbuf_alloc(PBUF_RAW, (uint16_t)n, PBUF_RAM);
    if (p == NULL) return 1;
    pbuf_take(p, bytes, (uint16_t)n);
  }
  if (netif->input(p, netif) != ERR_OK) pbuf_free(p);
  return 1;
}

/* ---- the services ---- */

static err_t end(struct tcp_pcb *pcb, struct pbuf *p) {
  if (p != NULL) pbuf_free(p);
  tcp_recv(pcb, NULL);
  tcp_sent(pcb, NULL);
  tcp_close(pcb);
  return ERR_OK;
}

static err_t take(void *service, struct tcp_pcb *pcb, struct pbuf *p, err_t error) {
  if (p == NULL || error != ERR_OK) return end(pcb, p);
  if ((intptr_t)service == ECHO) {
    for (struct pbuf *q = p; q != NULL; q = q->next) tcp_write(pcb, q->payload, q->len, TCP_WRITE_FLAG_COPY);
    tcp_output(pcb);
  }
  tcp_recved(pcb, p->tot_len);
  pbuf_free(p);
  return ERR_OK;
}

/* As much as fits, without a copy. */
static err_t generate(void *service, struct tcp_pcb *pcb, u16_t acknowledged) {
  (void)service;
  (void)acknowledged;
  for (;;) {
    size_t room = tcp_sndbuf(pcb);
    if (room < TCP_MSS || tcp_write(pcb, chunk, room < CHUNK ? (u16_t)room : CHUNK, 0) != ERR_OK) break;
  }
  tcp_output(pcb);
  return ERR_OK;
}

static err_t accepted(void *service, struct tcp_pcb *pcb, err_t error) {
  if (error != ERR_OK || pcb == NULL) return ERR_VAL;
  tcp_arg(pcb, service);
  tcp_nagle_disable(pcb);
  tcp_recv(pcb, take);
  if ((intptr_t)service == CHARGEN) {
    tcp_sent(pcb, generate);
    return generate(service, pcb, 0);
  }
  return ERR_OK;
}

static void serve(intptr_t service) {
  struct tcp_pcb *pcb = tcp_new();
  if (tcp_bind(pcb, IP_ANY_TYPE, (u16_t)(PORT_BASE + service)) != ERR_OK) fail("bind");
  pcb = tcp_listen(pcb);
  tcp_arg(pcb, (void *)service);
  tcp_accept(pcb, accepted);
}

#if NO_SYS
u32_t sys_now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (u32_t)(at.tv_sec * 1000 + at.tv_nsec / 1000000);
}
#else
static void started(void *semaphore) { sys_sem_signal(semaphore); }
#endif

static void start(void) {
#if NO_SYS
  lwip_init();
#else
  sys_sem_t semaphore;
  sys_sem_new(&semaphore, 0);
  tcpip_init(started, &semaphore);
  sys_sem_wait(&semaphore);
#endif
}

int main(int argc, char **argv) {
  static struct netif netif;
  ip4_addr_t address, mask, gateway;
  if (argc != 4 || !ip4addr_aton(argv[2], &address)) {
    fprintf(stderr, "usage: driver DEVICE ADDRESS all|none|packet\n");
    return 2;
  }
  is_packet = strcmp(argv[3], "packet") == 0;
  has_header = is_packet || strcmp(argv[3], "all") == 0;
  device = is_packet ? open_packet(argv[1], netif.hwaddr) : open_tun(argv[1]);
  make_rooms();
  start();
  IP4_ADDR(&mask, 255, 255, 255, 0);
  IP4_ADDR(&gateway, 0, 0, 0, 0);
  LOCK_TCPIP_CORE();
#if LWIP_ARP
  if (is_packet) netif_add(&netif, &address, &mask, &gateway, NULL, set_up_packet, ethernet_input);
  else
#endif
    netif_add(&netif, &address, &mask, &gateway, NULL, set_up, ip_input);
  netif_set_default(&netif);
  netif_set_up(&netif);
  netif_set_link_up(&netif);
  serve(ECHO);
  serve(DISCARD);
  serve(CHARGEN);
  UNLOCK_TCPIP_CORE();
  puts("ready");
  fflush(stdout);
  for (;;) {
    struct pollfd wait = {.fd = device, .events = POLLIN};
    poll(&wait, 1, 50);
    LOCK_TCPIP_CORE();
    for (int i = 0; i < BATCH && receive(&netif); i++);
#if NO_SYS
    sys_check_timeouts();
#endif
    if (waiting_count > 0) flush();
    UNLOCK_TCPIP_CORE();
  }
}
