#include <time.h>

#include "fs/engine/engine.h"

static gint64 clock_boottime(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (gint64)now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;
}

const struct engine_clock ENGINE_CLOCK = {
    .monotonic = g_get_monotonic_time,
    .boottime = clock_boottime,
    .wall = g_get_real_time,
};
