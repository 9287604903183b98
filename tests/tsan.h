/* Functions that the linker puts in the place of others (--wrap), to tell ThreadSanitizer what they
 * order. They speak for others and are not looked at themselves. */
#pragma once

#include <sanitizer/tsan_interface.h>

#define QUIET __attribute__((no_sanitize("thread")))
/* WRAP(int, f, int x) { return __real_f(x); } */
#define WRAP(result, name, ...)        \
    result __real_##name(__VA_ARGS__); \
    result __wrap_##name(__VA_ARGS__); \
    QUIET result __wrap_##name(__VA_ARGS__)
