/* SPDX-License-Identifier: MIT */
/* Programs with known results, and instructions that compilers avoid. */
#include "lib/desc.h"
#include "lib/lib.h"
#include "tap.h"
#include "tests.h"

static const uint32_t sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
    0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
    0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t x, uint32_t n)
{
    return x >> n | x << (32 - n);
}

/* FIPS 180-4, section 6.2.2: one block into the hash value. */
static void sha256_block(uint32_t h[8], const uint32_t block[16])
{
    uint32_t w[64], v[8];

    for (int t = 0; t < 16; t++)
        w[t] = block[t];
    for (int t = 16; t < 64; t++) {
        uint32_t a = w[t - 15], b = w[t - 2];

        w[t] = w[t - 16] + w[t - 7] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) +
               (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    memcpy(v, h, sizeof(v));
    for (int t = 0; t < 64; t++) {
        uint32_t e = v[4], a = v[0];
        uint32_t t1 = v[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) +
                      ((e & v[5]) ^ (~e & v[6])) + sha256_k[t] + w[t];
        uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) +
                      ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));

        memmove(v + 1, v, 7 * sizeof(*v));
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        h[i] += v[i];
}

void compute_sha256(void)
{
    uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                     0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint32_t abc[16] = {0x61626380, [15] = 24};

    sha256_block(h, abc);
    EXPECT_EQ(h[0], 0xba7816bf);
    EXPECT_EQ(h[7], 0xf20015ad);
    for (int i = 0; i < 100; i++)
        sha256_block(h, abc);
    EXPECT_EQ(h[0], 0xa94490b4);
}

void compute_sort(void)
{
    static uint32_t a[500];
    uint32_t seed = 12345;

    for (uint32_t i = 0; i < 500; i++) {
        seed = seed * 1103515245 + 12345;
        a[i] = seed >> 8;
    }
    for (uint32_t i = 1; i < 500; i++) {
        uint32_t x = a[i], j = i;

        for (; j && a[j - 1] > x; j--)
            a[j] = a[j - 1];
        a[j] = x;
    }
    for (uint32_t i = 1; i < 500; i++)
        EXPECT(a[i - 1] <= a[i]);
}

#define FLAGS_OF(insn, a, b)                         \
    ({                                               \
        uint32_t flags_;                             \
        uint32_t a_ = (a);                           \
        __asm__ volatile(insn "\n\tpushfd\n\tpop %0" \
                         : "=r"(flags_), "+a"(a_)    \
                         : "c"(b)                    \
                         : "cc", "memory");          \
        flags_ & 0x8D5;                              \
    })

void compute_flags(void)
{
    EXPECT_EQ(FLAGS_OF("add eax, ecx", 0x7FFFFFFF, 1), 0x894);
    EXPECT_EQ(FLAGS_OF("add eax, ecx", 0xFFFFFFFF, 1), 0x055);
    EXPECT_EQ(FLAGS_OF("sub eax, ecx", 0, 1), 0x095);
    EXPECT_EQ(FLAGS_OF("sub eax, ecx", 0x80000000, 1), 0x814);
    EXPECT_EQ(FLAGS_OF("cmp al, cl", 5, 5), 0x044);
    EXPECT_EQ(FLAGS_OF("shl eax, cl", 0xC0000000, 1) & 0x8C5, 0x085);
    EXPECT_EQ(FLAGS_OF("stc; inc eax", 0xFFFFFFFF, 0), 0x055);
    EXPECT_EQ(FLAGS_OF("stc; shl eax, cl", 1, 32) & 1, 1);
    EXPECT_EQ(FLAGS_OF("sahf", 0xD700, 0) & 0xD5, 0xD5);
    EXPECT_EQ(FLAGS_OF("neg eax", 0x80000000, 0), 0x885);
    EXPECT_EQ(FLAGS_OF("stc; adc eax, ecx", 0xFFFFFFFF, 0), 0x055);
    EXPECT_EQ(FLAGS_OF("stc; rcr eax, 1", 1, 0) & 1, 1);
    EXPECT_EQ(FLAGS_OF("and ax, cx", 0x8000, 0x8000) & 0x8C5, 0x084);
}

void compute_cmpxchg(void)
{
    static volatile uint64_t m;
    uint32_t a = 0x22222222, d = 0x11111111, b = 7;
    bool zero;

    m = 0x1111111122222222;
    __asm__ volatile("cmpxchg8b [%5]"
                     : "+a"(a), "+d"(d), "=@ccz"(zero)
                     : "b"(3), "c"(4), "r"(&m)
                     : "memory");
    EXPECT(zero);
    EXPECT(m == 0x400000003);
    __asm__ volatile("lock cmpxchg8b [%5]"
                     : "+a"(a), "+d"(d), "=@ccz"(zero)
                     : "b"(5), "c"(6), "r"(&m)
                     : "memory");
    EXPECT(!zero);
    EXPECT_EQ(a, 3);
    EXPECT_EQ(d, 4);
    __asm__ volatile("lock cmpxchg [%3], %2"
                     : "+a"(a), "=@ccz"(zero)
                     : "r"(9), "r"(&m)
                     : "memory");
    EXPECT(zero);
    EXPECT_EQ(m, 9);
    __asm__ volatile("lock xadd [%1], %0" : "+r"(b) : "r"(&m) : "memory", "cc");
    EXPECT_EQ(b, 9);
    EXPECT_EQ(m, 16);
}

void compute_bits(void)
{
    static volatile uint32_t words[4] = {0, 0, 1, 0};
    bool carry;
    uint32_t r;

    __asm__ volatile("bts [%1], %2"
                     : "=@ccc"(carry)
                     : "r"(words + 2), "r"(-33)
                     : "memory");
    EXPECT(!carry);
    EXPECT_EQ(words[0], 0x80000000);
    __asm__ volatile("btr [%1], %2"
                     : "=@ccc"(carry)
                     : "r"(words), "r"(64)
                     : "memory");
    EXPECT(carry);
    EXPECT_EQ(words[2], 0);
    __asm__ volatile("bsf %0, %1" : "=r"(r) : "r"(0x00F00000) : "cc");
    EXPECT_EQ(r, 20);
    __asm__ volatile("bsr %0, %1" : "=r"(r) : "r"(0x00F00000) : "cc");
    EXPECT_EQ(r, 23);
    r = 0x11223344;
    __asm__ volatile("bswap %0" : "+r"(r));
    EXPECT_EQ(r, 0x44332211);
}

void compute_misc(void)
{
    uint32_t a = 0x12345678, d = 0x9ABCDEF0;

    __asm__ volatile("shld %0, %1, 8" : "+r"(a) : "r"(d) : "cc");
    EXPECT_EQ(a, 0x3456789A);
    __asm__ volatile("shrd %0, %1, cl" : "+r"(a) : "r"(d), "c"(36) : "cc");
    EXPECT_EQ(a, 0x03456789);
    a = 0xFFFFFFFE;
    __asm__ volatile("imul %2" : "+a"(a), "=d"(d) : "r"(3) : "cc");
    EXPECT_EQ(a, 0xFFFFFFFA);
    EXPECT_EQ(d, 0xFFFFFFFF);
    a = 0x19;
    __asm__ volatile("add al, 0x28; daa" : "+a"(a) : : "cc");
    EXPECT_EQ(a, 0x47);
    a = 0x0F;
    __asm__ volatile("aaa" : "+a"(a) : : "cc");
    EXPECT_EQ(a, 0x105);
    a = 123;
    __asm__ volatile("aam" : "+a"(a) : : "cc");
    EXPECT_EQ(a, 0xC03);
    __asm__ volatile("aad" : "+a"(a) : : "cc");
    EXPECT_EQ(a, 123);
    a = 0x8000;
    __asm__ volatile("cwde" : "+a"(a));
    EXPECT_EQ(a, 0xFFFF8000);
}

void cmov_fault(void)
{
    uint32_t a = 5;

    TRY("cmp %0, %0; cmovne %0, [%1]", : "+r"(a) : "r"(TEST_VA) : "cc");
    EXPECT_PAGE_FAULT(0, TEST_VA);
    EXPECT_EQ(a, 5);
}
