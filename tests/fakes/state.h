/* The state that tests and the stand-in share: which power each GPU draws, and how it is sensed.
 *
 * The tests make the file, the library maps it: what a test changes holds from the next call on, in
 * every process. layout.py reads the lists of settings below, so that Python's mirror of this
 * cannot differ from it; X is (type, name, default) on a line of its own.
 */
#ifndef STATE_H
#define STATE_H

#include <stdint.h>

enum { MOST_GPUS = 16, MOST_PIECES = 65536, MOST_FAULTS = 16, MOST_PROCESSES = 8, TEXT = 96 };
enum {
    OK = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6,
    TOO_SMALL = 7, NOT_LOADED = 9, FUNCTION_NOT_FOUND = 13, VERSION_MISMATCH = 18
};

#define GPU_SETTINGS(X) \
    /* Counter: the truth at its last update * gain + offset_w * time, whole mJ rounded down. */ \
    X(int64_t, counter_supported, 1) \
    X(double, counter_update_ms, 100) /* 0: without steps */ \
    X(double, counter_phase_ms, 0) /* updates at this + k * update */ \
    X(double, counter_latency_ms, 0) /* an update is seen so much later */ \
    X(double, counter_quantum_mj, 1) \
    X(int64_t, counter_sums_samples, 0) /* sums window of each power update: aliases */ \
    X(int64_t, counter_start_ns, 0) /* counts from here: the driver was loaded */ \
    X(int64_t, reset_ns, 0) /* unless 0: from then on it counts from there (reset, reload) */ \
    X(double, read_cost_ms, 0) /* a read discards 95 % of the energy of up to so long before */ \
    /* Power: the mean of the truth over the window before the last update. */ \
    X(double, power_update_ms, 100) /* field 186, instant */ \
    X(double, power_window_ms, 25) /* 0: the power of that very moment */ \
    X(double, usage_update_ms, 100) /* nvmlDeviceGetPowerUsage and field 185, average */ \
    X(double, usage_window_ms, 1000) \
    X(double, power_phase_ms, 0) \
    X(double, power_latency_ms, 0) \
    X(int64_t, power_supported, 1) \
    X(double, power_quantum_mw, 1) \
    X(double, noise, 0) /* standard deviation of power readings, relative */ \
    X(int64_t, noise_seed, 0) \
    X(double, absurd_w, 0) /* unless 0: each power reading; -5 wraps as unsigned numbers do */ \
    /* Both. */ \
    X(double, gain, 1) \
    X(double, offset_w, 0) \
    X(int64_t, frozen_ns, 0) /* unless 0: from then on readings stay what they were then */ \
    X(int64_t, fields_supported, 1) /* 0: each field value is NOT_SUPPORTED */ \
    X(double, memory_power_share, 0) /* of the board's power, in scope 2; 0: not supported */ \
    X(double, module_extra_w, 0) /* added to the board's in scope 1; 0: not supported */ \
    X(int64_t, counter_of_module, 0) /* 1: the total energy holds it, as on Grace-Hopper */ \
    /* The board. */ \
    X(int64_t, mig, 0) \
    X(int64_t, processes_hidden, 0) /* 1: an empty list, as in a container */ \
    X(int64_t, temperature_c, 40) \
    X(int64_t, utilisation_percent, 95) \
    X(int64_t, memory_utilisation_percent, 25) \
    X(int64_t, clock_mhz, 1410) \
    X(int64_t, clock_max_mhz, 1410) \
    X(int64_t, memory_clock_mhz, 1215) \
    X(int64_t, memory_clock_max_mhz, 1215) \
    X(int64_t, throttle_reasons, 1) /* idle */ \
    X(int64_t, event_reasons_supported, 1) /* 0: drivers before 535, FUNCTION_NOT_FOUND */ \
    X(int64_t, throttle_power_ns, 0) \
    X(int64_t, throttle_thermal_ns, 0) \
    X(int64_t, throttle_sync_ns, 0) \
    X(int64_t, throttle_hw_thermal_ns, 0) \
    X(int64_t, throttle_hw_brake_ns, 0) \
    X(double, power_limit_w, 400) \
    X(double, power_limit_enforced_w, 400) \
    X(double, power_limit_default_w, 400) \
    X(double, power_limit_min_w, 100) \
    X(double, power_limit_max_w, 400) \
    X(int64_t, persistence_mode, 1) \
    X(int64_t, compute_mode, 0) \
    X(int64_t, ecc_mode, 1) \
    X(int64_t, performance_state, 0) \
    X(int64_t, architecture, 7) /* Ampere */ \
    X(int64_t, compute_major, 8) \
    X(int64_t, compute_minor, 0) \
    X(int64_t, memory_total_mb, 40960) \
    X(int64_t, memory_used_mb, 1024) \
    /* Written by the library. */ \
    X(int64_t, counter_reads, 0) \
    X(int64_t, power_reads, 0) \
    X(int64_t, counter_read_ns, 0) /* the last read of the counter ... */ \
    X(double, lost_j, 0) /* ... what reads have discarded by then ... */ \
    X(double, lost_shown_j, 0) /* ... and by the update that was shown */ \
    X(int64_t, lost_shown_ns, 0) \
    X(int64_t, lost_start_ns, 0) /* since which the counter counts */

#define MACHINE_SETTINGS(X) \
    X(int64_t, clock_ns, 0) /* unless 0: the time, in the place of CLOCK_MONOTONIC */ \
    X(int64_t, gpu_count, 0) \
    X(int64_t, cuda_version, 12020)

#define MEMBER(type, name, otherwise) type name;

typedef struct {
    int64_t start_ns;
    double power_w;
    double energy_j; /* from time 0 to the start */
} Piece;

typedef struct {
    int64_t pid;
    int64_t memory_bytes;
} Process;

typedef struct {
    char uuid_text[TEXT];
    char name_text[TEXT];
    GPU_SETTINGS(MEMBER)
    int64_t process_count;
    Process process_list[MOST_PROCESSES];
    int64_t piece_count; /* written after the piece, so that nobody reads half of one */
    Piece pieces[MOST_PIECES];
} Gpu;

typedef struct {
    char call[TEXT]; /* a prefix of the calls' names */
    int64_t active;
    int64_t gpu; /* -1: all, and calls that concern no GPU */
    int64_t code;
    int64_t from_ns;
    int64_t until_ns;
    double hang_ms; /* before the answer; passes in the virtual time, where that runs */
} Fault;

typedef struct {
    char driver_text[TEXT];
    MACHINE_SETTINGS(MEMBER)
    Fault faults[MOST_FAULTS];
    Gpu gpus[MOST_GPUS];
} Machine;

/* What NVML calls nvmlDevice_t: a GPU, or a slice of one. */
typedef struct {
    int gpu;
    int slice; /* -1: the whole */
} Handle;

/* sensor.c */
double true_energy_j(const Gpu *gpu, int64_t time_ns);
unsigned long long counter_mj(Gpu *gpu, int64_t now_ns);
double instant_w(Gpu *gpu, int index, int64_t now_ns);
double usage_w(Gpu *gpu, int index, int64_t now_ns);
unsigned power_mw(const Gpu *gpu, double power_w);

/* machine.c */
extern Machine *machine;
int64_t time_ns(void);
int text(char *out, unsigned size, const char *value);
int begin(const char *call, const Handle *handle, Gpu **gpu);       /* a GPU or a slice of it */
int begin_board(const char *call, const Handle *handle, Gpu **gpu); /* a GPU alone */

#define EXPORT __attribute__((visibility("default")))
#define ENTER(how) \
    Gpu *gpu; \
    int entered = how(__func__, handle, &gpu); \
    if (entered) return entered
#define ENTER_GPU ENTER(begin)
#define ENTER_BOARD ENTER(begin_board)

#endif
