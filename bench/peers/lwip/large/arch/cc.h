/* What lwIP wants to know of the compiler and the system: Linux, gcc. */
#ifndef BENCH_ARCH_CC_H
#define BENCH_ARCH_CC_H

#include <stdio.h>
#include <stdlib.h>

#define LWIP_TIMEVAL_PRIVATE 0
#define LWIP_PLATFORM_DIAG(x) do { printf x; } while (0)
#define LWIP_PLATFORM_ASSERT(x) do { fprintf(stderr, "lwip: %s\n", x); abort(); } while (0)
#define LWIP_RAND() ((unsigned)random())

#endif
