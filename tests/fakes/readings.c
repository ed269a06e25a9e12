/* The calls that read energy and power, directly and as field values. */
#define _POSIX_C_SOURCE 200809L
#include <time.h>

#include "state.h"

EXPORT int nvmlDeviceGetTotalEnergyConsumption(Handle *handle, unsigned long long *out_mj) {
    ENTER_BOARD;
    if (!gpu->counter_supported) return NOT_SUPPORTED;
    *out_mj = counter_mj(gpu, time_ns());
    return OK;
}

EXPORT int nvmlDeviceGetPowerUsage(Handle *handle, unsigned *out_mw) {
    ENTER_BOARD;
    if (!gpu->power_supported) return NOT_SUPPORTED;
    *out_mw = power_mw(gpu, usage_w(gpu, handle->gpu, time_ns()));
    return OK;
}

enum { UNSIGNED = 1, LONG = 3 };
enum { BOARD = 0, MODULE = 1, MEMORY = 2 };

typedef struct {
    unsigned field;
    unsigned scope;
    int64_t timestamp_us;
    int64_t latency_us;
    unsigned type;
    int code;
    union {
        unsigned u;
        unsigned long long l;
    } value;
} FieldValue;

static int number(FieldValue *out, unsigned value) {
    out->type = UNSIGNED;
    out->value.u = value;
    return OK;
}

static int long_number(FieldValue *out, unsigned long long value) {
    out->type = LONG;
    out->value.l = value;
    return OK;
}

static int scope_supported(const Gpu *gpu, unsigned scope) {
    if (scope == MODULE) return gpu->module_extra_w > 0;
    if (scope == MEMORY) return gpu->memory_power_share > 0;
    return scope == BOARD;
}

static int power_field(FieldValue *out, Gpu *gpu, int index) {
    if (!gpu->power_supported || !scope_supported(gpu, out->scope)) return NOT_SUPPORTED;
    double power_w = (out->field == 186 ? instant_w : usage_w)(gpu, index, time_ns());
    if (out->scope == MODULE) power_w += gpu->module_extra_w;
    if (out->scope == MEMORY) power_w *= gpu->memory_power_share;
    return number(out, power_mw(gpu, power_w));
}

static int energy_field(FieldValue *out, Gpu *gpu) {
    if (!gpu->counter_supported || !scope_supported(gpu, out->scope)) return NOT_SUPPORTED;
    if (out->scope == MODULE || (out->field == 83 && out->scope != BOARD)) return NOT_SUPPORTED;
    double share = out->scope == MEMORY ? gpu->memory_power_share : 1;
    return long_number(out, (unsigned long long)((double)counter_mj(gpu, time_ns()) * share));
}

static int field(FieldValue *out, Gpu *gpu, int index) {
    if (!gpu->fields_supported) return NOT_SUPPORTED;
    switch (out->field) {
    case 1: case 2: return number(out, (unsigned)gpu->ecc_mode);
    case 74: return long_number(out, (unsigned long long)gpu->throttle_power_ns);
    case 75: case 269: return long_number(out, (unsigned long long)gpu->throttle_thermal_ns);
    case 76: return long_number(out, (unsigned long long)gpu->throttle_sync_ns);
    case 270: return long_number(out, (unsigned long long)gpu->throttle_hw_thermal_ns);
    case 271: return long_number(out, (unsigned long long)gpu->throttle_hw_brake_ns);
    case 82: return number(out, (unsigned)gpu->temperature_c);
    case 83: case 191: return energy_field(out, gpu);
    case 185: case 186: return power_field(out, gpu, index);
    case 187: return number(out, power_mw(gpu, gpu->power_limit_min_w));
    case 188: return number(out, power_mw(gpu, gpu->power_limit_max_w));
    case 189: return number(out, power_mw(gpu, gpu->power_limit_default_w));
    case 190: return number(out, power_mw(gpu, gpu->power_limit_enforced_w));
    case 192: return number(out, power_mw(gpu, gpu->power_limit_w));
    default: return NOT_SUPPORTED;
    }
}

EXPORT int nvmlDeviceGetFieldValues(Handle *handle, int count, FieldValue *values) {
    ENTER_BOARD;
    if (count < 1 || !values) return INVALID;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    for (int i = 0; i < count; i++) {
        values[i].timestamp_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
        values[i].latency_us = 0;
        values[i].value.l = 0;
        values[i].code = field(&values[i], gpu, handle->gpu);
    }
    return OK;
}
