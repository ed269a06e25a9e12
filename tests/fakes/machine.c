/* A stand-in for libnvidia-ml.so.1: GPUs of known power, for tests without a GPU.
 *
 * Built as libnvidia-ml.so.1 into a folder of LD_LIBRARY_PATH it is loaded in the driver's place;
 * stand_in.py does so:
 *     cc -shared -fPIC -fvisibility=hidden -Wl,-soname,libnvidia-ml.so.1 \
 *         -o libnvidia-ml.so.1 machine.c sensor.c device.c readings.c -lm
 * Everything it pretends stands in the file that STANDIN_STATE names, see state.h; without that
 * variable there is no driver (code 9). The driver's version begins with "stand-in", unless a test
 * says otherwise, so that nobody takes a reading for a measured one.
 *
 * This file: the state, the time, the faults, and the calls that find a GPU.
 */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "state.h"

enum { SLICES = 2 };

Machine *machine;
static struct stat mapped;
static int users;
static Handle boards[MOST_GPUS], slices[MOST_GPUS][SLICES];

EXPORT unsigned long standin_size(void) { return sizeof(Machine); }

int64_t time_ns(void) {
    if (machine && machine->clock_ns) return machine->clock_ns;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int text(char *out, unsigned size, const char *value) {
    if (strlen(value) >= size) return TOO_SMALL;
    strcpy(out, value);
    return OK;
}

static void hang(double duration_ms) {
    int64_t duration_ns = (int64_t)(duration_ms * 1e6);
    if (machine->clock_ns) {
        __atomic_add_fetch(&machine->clock_ns, duration_ns, __ATOMIC_RELAXED);
        return;
    }
    struct timespec left = {duration_ns / 1000000000, duration_ns % 1000000000};
    while (nanosleep(&left, &left)) continue;
}

static int fault(const char *call, int gpu) {
    for (int i = 0; i < MOST_FAULTS; i++) {
        const Fault *each = &machine->faults[i];
        int64_t now_ns = time_ns();
        if (!__atomic_load_n(&each->active, __ATOMIC_ACQUIRE)) continue;
        if (strncmp(call, each->call, strlen(each->call))) continue;
        if (each->gpu >= 0 && each->gpu != gpu) continue;
        if (now_ns < each->from_ns || now_ns >= each->until_ns) continue;
        if (each->hang_ms > 0) hang(each->hang_ms);
        if (each->code) return (int)each->code;
    }
    return OK;
}

static int begin_machine(const char *call) { return users ? fault(call, -1) : UNINITIALIZED; }

/* Only pointers into the tables are handles: what else a caller passes is never followed. */
static int known(const Handle *handle) {
    for (int64_t i = 0; i < machine->gpu_count; i++) {
        if (handle == &boards[i]) return 1;
        for (int j = 0; j < SLICES; j++)
            if (handle == &slices[i][j]) return 1;
    }
    return 0;
}

int begin(const char *call, const Handle *handle, Gpu **gpu) {
    if (!users) return UNINITIALIZED;
    if (!known(handle)) return INVALID;
    *gpu = &machine->gpus[handle->gpu];
    return fault(call, handle->gpu);
}

int begin_board(const char *call, const Handle *handle, Gpu **gpu) {
    int code = begin(call, handle, gpu);
    return !code && handle->slice >= 0 ? NOT_SUPPORTED : code;
}

/* Maps the state of STANDIN_STATE. An older one stays mapped: a thread may still be reading it. */
static int map(void) {
    const char *path = getenv("STANDIN_STATE");
    struct stat found;
    int file = path && *path ? open(path, O_RDWR) : -1;
    if (file < 0) return NOT_LOADED;
    int code = fstat(file, &found) ? NOT_LOADED : OK;
    if (!code && (size_t)found.st_size < sizeof(Machine)) code = VERSION_MISMATCH;
    if (!code && (!machine || found.st_ino != mapped.st_ino || found.st_dev != mapped.st_dev)) {
        void *at = mmap(NULL, sizeof(Machine), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (at == MAP_FAILED) code = NOT_LOADED;
        else machine = at, mapped = found;
    }
    close(file);
    return code;
}

static int start(const char *call) {
    int code = map();
    if (!code) code = fault(call, -1);
    if (code) return code;
    for (int i = 0; i < MOST_GPUS; i++) {
        boards[i] = (Handle){i, -1};
        for (int j = 0; j < SLICES; j++) slices[i][j] = (Handle){i, j};
    }
    users++;
    return OK;
}

EXPORT int nvmlInit(void) { return start(__func__); }
EXPORT int nvmlInit_v2(void) { return start(__func__); }
EXPORT int nvmlInitWithFlags(unsigned flags) { return (void)flags, start(__func__); }

EXPORT int nvmlShutdown(void) {
    int code = begin_machine(__func__);
    if (!code) users--;
    return code;
}

EXPORT const char *nvmlErrorString(int code) {
    static _Thread_local char message[32];
    snprintf(message, sizeof message, "stand-in error %d", code);
    return message;
}

#define ENTER_MACHINE \
    int entered = begin_machine(__func__); \
    if (entered) return entered

EXPORT int nvmlSystemGetDriverVersion(char *out, unsigned size) {
    ENTER_MACHINE;
    return text(out, size, machine->driver_text);
}

EXPORT int nvmlSystemGetNVMLVersion(char *out, unsigned size) {
    ENTER_MACHINE;
    return text(out, size, "stand-in");
}

EXPORT int nvmlSystemGetCudaDriverVersion(int *out) {
    ENTER_MACHINE;
    *out = (int)machine->cuda_version;
    return OK;
}

EXPORT int nvmlSystemGetCudaDriverVersion_v2(int *out) {
    return nvmlSystemGetCudaDriverVersion(out);
}

static int count(const char *call, unsigned *out) {
    int code = begin_machine(call);
    if (!code) *out = (unsigned)machine->gpu_count;
    return code;
}

EXPORT int nvmlDeviceGetCount(unsigned *out) { return count(__func__, out); }
EXPORT int nvmlDeviceGetCount_v2(unsigned *out) { return count(__func__, out); }

static int hand(const char *call, Handle *handle, Handle **out) {
    Gpu *gpu;
    int code = begin(call, handle, &gpu);
    if (!code) *out = handle;
    return code;
}

static int by_index(const char *call, unsigned index, Handle **out) {
    if (users && index >= (unsigned)machine->gpu_count) return INVALID;
    return hand(call, &boards[index % MOST_GPUS], out);
}

EXPORT int nvmlDeviceGetHandleByIndex(unsigned index, Handle **out) {
    return by_index(__func__, index, out);
}

EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, Handle **out) {
    return by_index(__func__, index, out);
}

static void slice_uuid(const Handle *handle, char *out, unsigned size) {
    snprintf(out, size, "MIG-00000000-0000-0000-%04d-%012d", handle->slice, handle->gpu);
}

EXPORT int nvmlDeviceGetUUID(Handle *handle, char *out, unsigned size) {
    ENTER_GPU;
    char uuid[TEXT];
    if (handle->slice < 0) return text(out, size, gpu->uuid_text);
    slice_uuid(handle, uuid, sizeof uuid);
    return text(out, size, uuid);
}

EXPORT int nvmlDeviceGetHandleByUUID(const char *uuid, Handle **out) {
    ENTER_MACHINE;
    for (int64_t i = 0; i < machine->gpu_count; i++) {
        if (!strcmp(machine->gpus[i].uuid_text, uuid)) return hand(__func__, &boards[i], out);
        for (int j = 0; machine->gpus[i].mig && j < SLICES; j++) {
            char own[TEXT];
            slice_uuid(&slices[i][j], own, sizeof own);
            if (!strcmp(own, uuid)) return hand(__func__, &slices[i][j], out);
        }
    }
    return NOT_FOUND;
}

EXPORT int nvmlDeviceGetHandleBySerial(const char *serial, Handle **out) {
    ENTER_MACHINE;
    for (int64_t i = 0; i < machine->gpu_count; i++)
        if (atol(serial) == 1000 + i) return hand(__func__, &boards[i], out);
    return NOT_FOUND;
}

static int by_bus(const char *call, const char *bus_id, Handle **out) {
    unsigned domain, bus, device;
    int code = begin_machine(call);
    if (code) return code;
    if (sscanf(bus_id, "%x:%x:%x", &domain, &bus, &device) != 3) return INVALID;
    int exists = !domain && !device && bus >= 1 && bus <= (unsigned)machine->gpu_count;
    return exists ? hand(call, &boards[bus - 1], out) : NOT_FOUND;
}

EXPORT int nvmlDeviceGetHandleByPciBusId(const char *id, Handle **out) {
    return by_bus(__func__, id, out);
}

EXPORT int nvmlDeviceGetHandleByPciBusId_v2(const char *id, Handle **out) {
    return by_bus(__func__, id, out);
}

EXPORT int nvmlDeviceGetMigMode(Handle *handle, unsigned *current, unsigned *pending) {
    ENTER_BOARD;
    *current = *pending = (unsigned)gpu->mig;
    return OK;
}

EXPORT int nvmlDeviceGetMaxMigDeviceCount(Handle *handle, unsigned *out) {
    ENTER_BOARD;
    *out = gpu->mig ? SLICES : 0;
    return OK;
}

EXPORT int nvmlDeviceGetMigDeviceHandleByIndex(Handle *handle, unsigned index, Handle **out) {
    ENTER_BOARD;
    if (!gpu->mig || index >= SLICES) return NOT_FOUND;
    *out = &slices[handle->gpu][index];
    return OK;
}

EXPORT int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(Handle *handle, Handle **out) {
    ENTER_GPU;
    if (handle->slice < 0) return INVALID;
    *out = &boards[handle->gpu];
    return OK;
}

EXPORT int nvmlDeviceIsMigDeviceHandle(Handle *handle, unsigned *out) {
    ENTER_GPU;
    *out = handle->slice >= 0;
    return OK;
}
