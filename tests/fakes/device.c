/* What a GPU says of itself: names, limits, clocks, memory, processes. */
#include <stdio.h>
#include <string.h>

#include "state.h"

/* A call that hands out one number of a GPU. */
#define NUMBER(call, type, expression) \
    EXPORT int call(Handle *handle, type *out) { \
        ENTER_BOARD; \
        *out = (type)(expression); \
        return OK; \
    }
/* A call that exists, and that these GPUs decline. */
#define DECLINED(call, code) \
    EXPORT int call(Handle *handle) { \
        ENTER_BOARD; \
        return code; \
    }
#define MW(power_w) ((power_w) * 1000)

EXPORT int nvmlDeviceGetName(Handle *handle, char *out, unsigned size) {
    ENTER_GPU;
    char name[TEXT + 16];
    snprintf(name, sizeof name, "%s%s", gpu->name_text, handle->slice < 0 ? "" : " MIG 1g.5gb");
    return text(out, size, name);
}

EXPORT int nvmlDeviceGetSerial(Handle *handle, char *out, unsigned size) {
    ENTER_BOARD;
    char serial[16];
    snprintf(serial, sizeof serial, "%d", 1000 + handle->gpu);
    return text(out, size, serial);
}

NUMBER(nvmlDeviceGetIndex, unsigned, handle->gpu)
NUMBER(nvmlDeviceGetMinorNumber, unsigned, handle->gpu)
NUMBER(nvmlDeviceGetBoardId, unsigned, (handle->gpu + 1) << 8)
NUMBER(nvmlDeviceGetBrand, unsigned, 14) /* "NVIDIA" */
NUMBER(nvmlDeviceGetArchitecture, unsigned, gpu->architecture)
NUMBER(nvmlDeviceGetPersistenceMode, unsigned, gpu->persistence_mode)
NUMBER(nvmlDeviceGetComputeMode, unsigned, gpu->compute_mode)
NUMBER(nvmlDeviceGetPerformanceState, unsigned, gpu->performance_state)
NUMBER(nvmlDeviceGetPowerState, unsigned, gpu->performance_state)
NUMBER(nvmlDeviceGetEnforcedPowerLimit, unsigned, MW(gpu->power_limit_enforced_w))
NUMBER(nvmlDeviceGetPowerManagementLimit, unsigned, MW(gpu->power_limit_w))
NUMBER(nvmlDeviceGetPowerManagementDefaultLimit, unsigned, MW(gpu->power_limit_default_w))
NUMBER(nvmlDeviceGetPowerManagementMode, unsigned, 1)
NUMBER(nvmlDeviceGetCurrentClocksThrottleReasons, unsigned long long, gpu->throttle_reasons)
NUMBER(nvmlDeviceGetSupportedClocksThrottleReasons, unsigned long long, 0x1ff)
NUMBER(nvmlDeviceGetSupportedClocksEventReasons, unsigned long long, 0x1ff)

EXPORT int nvmlDeviceGetCurrentClocksEventReasons(Handle *handle, unsigned long long *out) {
    ENTER_BOARD;
    *out = (unsigned long long)gpu->throttle_reasons;
    return gpu->event_reasons_supported ? OK : FUNCTION_NOT_FOUND;
}

EXPORT int nvmlDeviceGetPowerManagementLimitConstraints(
    Handle *handle, unsigned *least_mw, unsigned *most_mw) {
    ENTER_BOARD;
    *least_mw = (unsigned)MW(gpu->power_limit_min_w);
    *most_mw = (unsigned)MW(gpu->power_limit_max_w);
    return OK;
}

EXPORT int nvmlDeviceGetEccMode(Handle *handle, unsigned *current, unsigned *pending) {
    ENTER_BOARD;
    *current = *pending = (unsigned)gpu->ecc_mode;
    return OK;
}

EXPORT int nvmlDeviceGetCudaComputeCapability(Handle *handle, int *major, int *minor) {
    ENTER_GPU;
    *major = (int)gpu->compute_major;
    *minor = (int)gpu->compute_minor;
    return OK;
}

EXPORT int nvmlDeviceGetTemperature(Handle *handle, unsigned sensor, unsigned *out) {
    ENTER_BOARD;
    *out = (unsigned)gpu->temperature_c;
    return sensor ? INVALID : OK;
}

typedef struct {
    unsigned version, sensor;
    int temperature;
} Temperature;

EXPORT int nvmlDeviceGetTemperatureV(Handle *handle, Temperature *out) {
    ENTER_BOARD;
    out->temperature = (int)gpu->temperature_c;
    return out->sensor ? INVALID : OK;
}

typedef struct {
    unsigned gpu, memory;
} Utilisation;

EXPORT int nvmlDeviceGetUtilizationRates(Handle *handle, Utilisation *out) {
    ENTER_BOARD;
    if (gpu->mig) return NOT_SUPPORTED;
    out->gpu = (unsigned)gpu->utilisation_percent;
    out->memory = (unsigned)gpu->memory_utilisation_percent;
    return OK;
}

enum { MEMORY_CLOCK = 2, CLOCK_TYPES = 4 };

EXPORT int nvmlDeviceGetClockInfo(Handle *handle, unsigned type, unsigned *out) {
    ENTER_BOARD;
    *out = (unsigned)(type == MEMORY_CLOCK ? gpu->memory_clock_mhz : gpu->clock_mhz);
    return type < CLOCK_TYPES ? OK : INVALID;
}

EXPORT int nvmlDeviceGetMaxClockInfo(Handle *handle, unsigned type, unsigned *out) {
    ENTER_BOARD;
    *out = (unsigned)(type == MEMORY_CLOCK ? gpu->memory_clock_max_mhz : gpu->clock_max_mhz);
    return type < CLOCK_TYPES ? OK : INVALID;
}

EXPORT int nvmlDeviceGetClock(Handle *handle, unsigned type, unsigned id, unsigned *out) {
    return (id ? nvmlDeviceGetMaxClockInfo : nvmlDeviceGetClockInfo)(handle, type, out);
}

EXPORT int nvmlDeviceGetApplicationsClock(Handle *handle, unsigned type, unsigned *out) {
    return nvmlDeviceGetMaxClockInfo(handle, type, out);
}

typedef struct {
    unsigned long long reference_us, violated_ns;
} Violation;

EXPORT int nvmlDeviceGetViolationStatus(Handle *handle, unsigned policy, Violation *out) {
    ENTER_BOARD;
    int64_t times_ns[] = {gpu->throttle_power_ns, gpu->throttle_thermal_ns, gpu->throttle_sync_ns};
    if (policy >= sizeof times_ns / sizeof *times_ns) return NOT_SUPPORTED;
    out->reference_us = (unsigned long long)time_ns() / 1000;
    out->violated_ns = (unsigned long long)times_ns[policy];
    return OK;
}

typedef struct {
    unsigned long long total, free, used;
} Memory;

typedef struct {
    unsigned version;
    unsigned long long total, reserved, free, used;
} MemoryV2;

EXPORT int nvmlDeviceGetMemoryInfo(Handle *handle, Memory *out) {
    ENTER_GPU;
    out->total = (unsigned long long)gpu->memory_total_mb << 20;
    out->used = (unsigned long long)gpu->memory_used_mb << 20;
    out->free = out->total - out->used;
    return OK;
}

EXPORT int nvmlDeviceGetMemoryInfo_v2(Handle *handle, MemoryV2 *out) {
    Memory plain;
    int code = nvmlDeviceGetMemoryInfo(handle, &plain);
    if (code) return code;
    out->total = plain.total, out->reserved = 0, out->free = plain.free, out->used = plain.used;
    return OK;
}

typedef struct {
    char legacy_id[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char id[32];
} Pci;

static int pci(const char *call, Handle *handle, Pci *out) {
    Gpu *gpu;
    int code = begin_board(call, handle, &gpu);
    if (code) return code;
    memset(out, 0, sizeof *out);
    out->bus = (unsigned)handle->gpu + 1;
    out->device_id = 0x20b010de;
    snprintf(out->legacy_id, sizeof out->legacy_id, "0000:%02X:00.0", out->bus & 0xff);
    snprintf(out->id, sizeof out->id, "00000000:%02X:00.0", out->bus & 0xff);
    return OK;
}

EXPORT int nvmlDeviceGetPciInfo(Handle *handle, Pci *out) { return pci(__func__, handle, out); }
EXPORT int nvmlDeviceGetPciInfo_v2(Handle *handle, Pci *out) { return pci(__func__, handle, out); }
EXPORT int nvmlDeviceGetPciInfo_v3(Handle *handle, Pci *out) { return pci(__func__, handle, out); }

typedef struct {
    unsigned pid;
    unsigned long long memory;
} ProcessV1;

typedef struct {
    unsigned pid;
    unsigned long long memory;
    unsigned gpu_instance, compute_instance;
} ProcessV2;

static int processes(const char *call, Handle *handle, unsigned *count, void *out, int version) {
    Gpu *gpu;
    int code = begin(call, handle, &gpu);
    if (code) return code;
    unsigned room = *count;
    *count = gpu->processes_hidden ? 0 : (unsigned)gpu->process_count;
    if (*count && (room < *count || !out)) return TOO_SMALL;
    for (unsigned i = 0; i < *count; i++) {
        const Process *each = &gpu->process_list[i];
        unsigned pid = (unsigned)each->pid, none = ~0u;
        unsigned long long memory = (unsigned long long)each->memory_bytes;
        if (version == 1) ((ProcessV1 *)out)[i] = (ProcessV1){pid, memory};
        else ((ProcessV2 *)out)[i] = (ProcessV2){pid, memory, none, none};
    }
    return OK;
}

#define PROCESSES(call, version) \
    EXPORT int call(Handle *handle, unsigned *count, void *out) { \
        return processes(__func__, handle, count, out, version); \
    }
#define NO_PROCESSES(call) \
    EXPORT int call(Handle *handle, unsigned *count, void *out) { \
        ENTER_GPU; \
        (void)out; \
        *count = 0; \
        return OK; \
    }

PROCESSES(nvmlDeviceGetComputeRunningProcesses, 1)
PROCESSES(nvmlDeviceGetComputeRunningProcesses_v2, 2)
PROCESSES(nvmlDeviceGetComputeRunningProcesses_v3, 3)
NO_PROCESSES(nvmlDeviceGetGraphicsRunningProcesses)
NO_PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v2)
NO_PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v3)
NO_PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses_v3)

DECLINED(nvmlDeviceGetFanSpeed, NOT_SUPPORTED)
DECLINED(nvmlDeviceGetFanSpeed_v2, NOT_SUPPORTED)
DECLINED(nvmlDeviceGetC2cModeInfoV, NOT_SUPPORTED)
DECLINED(nvmlDeviceGetSamples, NOT_SUPPORTED)
DECLINED(nvmlDeviceGetProcessUtilization, NOT_SUPPORTED)
DECLINED(nvmlDeviceRegisterEvents, NOT_SUPPORTED)
DECLINED(nvmlDeviceGetSupportedMemoryClocks, NOT_SUPPORTED)
DECLINED(nvmlDeviceGetSupportedGraphicsClocks, NOT_SUPPORTED)
DECLINED(nvmlDeviceSetPowerManagementLimit, NO_PERMISSION)
DECLINED(nvmlDeviceSetPersistenceMode, NO_PERMISSION)
DECLINED(nvmlDeviceSetGpuLockedClocks, NO_PERMISSION)
DECLINED(nvmlDeviceResetGpuLockedClocks, NO_PERMISSION)
DECLINED(nvmlDeviceSetMemoryLockedClocks, NO_PERMISSION)
DECLINED(nvmlDeviceResetMemoryLockedClocks, NO_PERMISSION)

EXPORT int nvmlEventSetCreate(void **out) {
    *out = NULL;
    return NOT_SUPPORTED;
}
