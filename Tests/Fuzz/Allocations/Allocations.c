#include "allocations.h"

#include <errno.h>
#include <stdbool.h>

// The functions of the C library, replaced by ones that note the largest size and pass it on. Everything takes its
// memory here, the Swift runtime included. AddressSanitizer replaces them too, so they cannot both.

#if defined(__GLIBC__) && !__has_feature(address_sanitizer)

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static __thread bool is_watching __attribute__((tls_model("initial-exec")));
static __thread size_t largest __attribute__((tls_model("initial-exec")));

static inline void note(size_t size) {
  if (is_watching && size > largest) largest = size;
}

void *malloc(size_t size) {
  note(size);
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  size_t product;
  if (!__builtin_mul_overflow(count, size, &product)) note(product);
  return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
  note(size);
  return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size) {
  note(size);
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **out, size_t alignment, size_t size) {
  void *block = memalign(alignment, size);
  if (!block) return ENOMEM;
  *out = block;
  return 0;
}

void allocations_begin(void) {
  largest = 0;
  is_watching = true;
}

size_t allocations_end(void) {
  is_watching = false;
  return largest;
}

#else

void allocations_begin(void) {}
size_t allocations_end(void) { return 0; }

#endif
