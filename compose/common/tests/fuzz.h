/* fuzz.h: what libFuzzer calls with each input. */

#ifndef COMMON_FUZZ_H
#define COMMON_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
