/*
 * Options under which lwIP is as fast as it can be here: no threads, large windows with scaling, SACK, memory from malloc, no
 * statistics. Checksums are chosen for each interface, so that a device that computes them is left to it.
 */
#ifndef BENCH_LWIPOPTS_H
#define BENCH_LWIPOPTS_H

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_SOCKET 0
#define LWIP_NETCONN 0
#define LWIP_STATS 0
#define LWIP_IPV6 0
#define LWIP_ARP 1
#define LWIP_UDP 0
#define LWIP_ICMP 1

#define MEM_LIBC_MALLOC 1
#define MEMP_MEM_MALLOC 1
#define MEM_ALIGNMENT 8
#define LWIP_SUPPORT_CUSTOM_PBUF 1

#define TCP_MSS 1460
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 7
#define TCP_WND (4 << 20)
#define TCP_SND_BUF (4 << 20)
#define TCP_SND_QUEUELEN 16384
#define TCP_SNDLOWAT 32768
#define TCP_SNDQUEUELOWAT 8192
#define MEMP_NUM_TCP_SEG 65535
#define MEMP_NUM_TCP_PCB 16384
#define TCP_QUEUE_OOSEQ 1
#define LWIP_TCP_SACK_OUT 1
#define TCP_LISTEN_BACKLOG 0

#define LWIP_CHECKSUM_CTRL_PER_NETIF 1
#define LWIP_CHECKSUM_ON_COPY 0

#endif
