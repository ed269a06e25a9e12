/* A stand-in for libnvidia-ml.so.1: GPUs of constant, known power, for tests without a GPU.
 *
 * Built as libnvidia-ml.so.1 into a folder of LD_LIBRARY_PATH, it is loaded in the driver's place:
 *     cc -shared -fPIC -o libnvidia-ml.so.1 nvml.c
 * The driver's version begins with "stand-in", so that nobody takes a reading for a measured one.
 *
 * What it pretends, from the environment:
 *     STANDIN_POWER_W        power of each GPU, comma between: "200,50" is two GPUs; default "100"
 *     STANDIN_UPDATE_MS      time between two updates of the energy counter; default 20
 *     STANDIN_NO_COUNTER     set: the energy counter is not supported (code 3)
 *     STANDIN_ERROR          code that readings end with, such as 15 (GPU is lost) ...
 *     STANDIN_ERROR_AFTER_S  ... from so many seconds after nvmlInit on; default 0
 *     STANDIN_ERROR_GPU      ... on this GPU only (an index); default all
 *
 * The counter is P * t with t of CLOCK_MONOTONIC, rounded down to the last update: a reader knows
 * what it must find.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))
#define MOST_GPUS 16
enum { OK = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7 };

typedef struct {
    unsigned index;
    double power_w;
    char uuid[48];
} Gpu;

static Gpu gpus[MOST_GPUS];
static unsigned count;
static double started_s;

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

static double number(const char *name, double otherwise) {
    const char *text = getenv(name);
    return text && *text ? atof(text) : otherwise;
}

static int text(char *out, unsigned size, const char *value) {
    if (strlen(value) >= size) return TOO_SMALL;
    strcpy(out, value);
    return OK;
}

/* What a reading of this GPU ends with at this moment. */
static int state(const Gpu *gpu) {
    if (!count) return UNINITIALIZED;
    if (!gpu) return INVALID;
    double only = number("STANDIN_ERROR_GPU", -1);
    int due = now_s() - started_s >= number("STANDIN_ERROR_AFTER_S", 0);
    return due && (only < 0 || only == gpu->index) ? (int)number("STANDIN_ERROR", OK) : OK;
}

EXPORT int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    const char *next = getenv("STANDIN_POWER_W");
    if (!next || !*next) next = "100";
    started_s = now_s();
    for (count = 0; next && count < MOST_GPUS; count++) {
        gpus[count].index = count;
        gpus[count].power_w = atof(next);
        snprintf(gpus[count].uuid, sizeof gpus[count].uuid,
                 "GPU-00000000-0000-0000-0000-%012u", count);
        next = strchr(next, ',');
        if (next) next++;
    }
    return OK;
}

EXPORT int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

EXPORT int nvmlShutdown(void) {
    count = 0;
    return OK;
}

EXPORT const char *nvmlErrorString(int code) {
    static char text[32];
    snprintf(text, sizeof text, "stand-in error %d", code);
    return text;
}

EXPORT int nvmlSystemGetDriverVersion(char *out, unsigned size) {
    return text(out, size, "stand-in 1.0");
}

EXPORT int nvmlDeviceGetCount_v2(unsigned *out) {
    *out = count;
    return count ? OK : UNINITIALIZED;
}

EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, Gpu **out) {
    if (index >= count) return INVALID;
    *out = &gpus[index];
    return OK;
}

EXPORT int nvmlDeviceGetHandleByUUID(const char *uuid, Gpu **out) {
    for (unsigned i = 0; i < count; i++)
        if (!strcmp(gpus[i].uuid, uuid)) return nvmlDeviceGetHandleByIndex_v2(i, out);
    return NOT_FOUND;
}

EXPORT int nvmlDeviceGetUUID(Gpu *gpu, char *out, unsigned size) {
    return text(out, size, gpu->uuid);
}

EXPORT int nvmlDeviceGetName(Gpu *gpu, char *out, unsigned size) {
    char name[32];
    snprintf(name, sizeof name, "Stand-in GPU %u", gpu->index);
    return text(out, size, name);
}

EXPORT int nvmlDeviceGetTotalEnergyConsumption(Gpu *gpu, unsigned long long *out_mj) {
    if (getenv("STANDIN_NO_COUNTER")) return NOT_SUPPORTED;
    double update_ms = number("STANDIN_UPDATE_MS", 20);
    unsigned long long updates = (unsigned long long)(now_s() * 1000 / update_ms);
    *out_mj = (unsigned long long)(gpu->power_w * update_ms * updates);
    return state(gpu);
}

EXPORT int nvmlDeviceGetPowerUsage(Gpu *gpu, unsigned *out_mw) {
    *out_mw = (unsigned)(gpu->power_w * 1000);
    return state(gpu);
}
