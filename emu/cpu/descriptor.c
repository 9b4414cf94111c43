/* SPDX-License-Identifier: MIT */
#include "emu/cpu/descriptor.h"

#include "emu/cpu/mem.h"
#include "monitor/log.h"

uint32_t descriptor_limit(const struct descriptor *d)
{
    uint32_t limit = (d->hi & 0xf0000) | (d->lo & 0xffff);

    return d->hi >> 8 & SEG_G ? limit << PAGE_SHIFT | PAGE_MASK : limit;
}

struct segment descriptor_segment(const struct descriptor *d)
{
    return (struct segment){
        .base = (d->hi & 0xff000000) | (d->hi & 0xff) << 16 |
                (d->lo >> 16 & 0xffff),
        .limit = descriptor_limit(d),
        .attr = d->hi >> 8 & 0xf0ff,
        .selector = d->selector,
    };
}

bool descriptor_find(const struct vcpu *vcpu, uint16_t selector, gva_t *gva)
{
    uint32_t offset = selector & ~7u;
    uint32_t base = vcpu->gdtr.base;
    uint32_t limit = vcpu->gdtr.limit;

    if (selector & SELECTOR_LDT) {
        if (vcpu->ldtr.attr & SEG_UNUSABLE)
            return false;
        base = vcpu->ldtr.base;
        limit = vcpu->ldtr.limit;
    }
    *gva = base + offset;
    return offset + 7 <= limit;
}

bool descriptor_read(struct interp *interp, uint16_t selector, gva_t gva,
                     struct descriptor *d)
{
    uint32_t raw[2];

    if (!sys_read(interp, gva, raw, sizeof(raw)))
        return false;
    *d = (struct descriptor){
        .lo = raw[0], .hi = raw[1], .gva = gva, .selector = selector};
    return true;
}

bool descriptor_fetch(struct interp *interp, uint16_t selector, unsigned vector,
                      struct descriptor *d)
{
    gva_t gva;

    if (!descriptor_find(interp->vcpu, selector, &gva))
        return selector_fault(interp, vector, selector);
    return descriptor_read(interp, selector, gva, d);
}

bool descriptor_mark(struct interp *interp, struct descriptor *d,
                     unsigned type_bits)
{
    uint32_t hi = d->hi | type_bits << 8;
    uint8_t byte = (uint8_t)(hi >> 8);

    if (hi == d->hi)
        return true;
    if (!sys_write(interp, d->gva + 5, &byte, 1))
        return false;
    d->hi = hi;
    return true;
}

bool segment_holds(const struct segment *segment, uint32_t offset,
                   unsigned size)
{
    uint64_t last = (uint64_t)offset + size - 1;

    if ((segment->attr & (SEG_CODE | SEG_DOWN)) == SEG_DOWN)
        return offset > segment->limit &&
               last <= (segment->attr & SEG_DB ? 0xffffffff : 0xffff);
    return last <= segment->limit || segment->limit == 0xffffffff;
}

bool not_modelled(struct interp *interp, const char *what)
{
    struct vcpu *vcpu = interp->vcpu;

    vcpu_stop(vcpu, STOP_UNIMPL, "%s at %04x:%08x is not modelled", what,
              vcpu->seg[SEG_CS].selector, vcpu->eip);
    log_line(LOG_UNIMP, "%08x %s", vcpu->seg_base[SEG_CS] + vcpu->eip, what);
    return false;
}
