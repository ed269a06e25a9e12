/* How a GPU's sensors see its power: updates, windows, latency, gain, noise, the cost of a read. */
#include <math.h>

#include "state.h"

static const double LOST_SHARE = 0.95; /* of the energy just before a read, where reads cost */

static int64_t ns(double ms) { return llround(ms * 1e6); }

/* The piece that holds this moment; the first reaches back before time 0. */
static int64_t piece_at(const Gpu *gpu, int64_t moment_ns) {
    int64_t low = 0, high = __atomic_load_n(&gpu->piece_count, __ATOMIC_ACQUIRE);
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (gpu->pieces[middle].start_ns <= moment_ns) low = middle;
        else high = middle;
    }
    return low;
}

double true_energy_j(const Gpu *gpu, int64_t moment_ns) {
    const Piece *piece = &gpu->pieces[piece_at(gpu, moment_ns)];
    return piece->energy_j + piece->power_w * (double)(moment_ns - piece->start_ns) * 1e-9;
}

static double between_j(const Gpu *gpu, int64_t start_ns, int64_t end_ns) {
    return true_energy_j(gpu, end_ns) - true_energy_j(gpu, start_ns);
}

static int64_t floor_to(int64_t value, int64_t step) {
    int64_t rest = value % step;
    return value - (rest < 0 ? rest + step : rest);
}

static int64_t last_update(int64_t now_ns, double update_ms, double phase_ms, double latency_ms) {
    int64_t seen_ns = now_ns - ns(latency_ms), phase_ns = ns(phase_ms), step_ns = ns(update_ms);
    return step_ns > 0 ? floor_to(seen_ns - phase_ns, step_ns) + phase_ns : seen_ns;
}

static int64_t seen(const Gpu *gpu, int64_t now_ns) {
    return gpu->frozen_ns && now_ns > gpu->frozen_ns ? gpu->frozen_ns : now_ns;
}

/* The sampled power summed over the updates in (start, end]. As long as the power is constant all
 * samples are the same: so it takes as many steps as there are pieces, not as there are updates. */
static double summed_j(const Gpu *gpu, int64_t start_ns, int64_t end_ns) {
    int64_t step_ns = ns(gpu->power_update_ms), window_ns = ns(gpu->power_window_ms);
    int64_t phase_ns = ns(gpu->power_phase_ms), pieces = gpu->piece_count;
    if (step_ns <= 0 || window_ns <= 0) return between_j(gpu, start_ns, end_ns);
    double sum_j = 0, share = (double)step_ns / (double)window_ns;
    int64_t update_ns = floor_to(start_ns - phase_ns, step_ns) + phase_ns + step_ns;
    while (update_ns <= end_ns) {
        int64_t piece = piece_at(gpu, update_ns - window_ns);
        int64_t until_ns = end_ns, equal = 1;
        if (piece + 1 < pieces && gpu->pieces[piece + 1].start_ns < end_ns)
            until_ns = gpu->pieces[piece + 1].start_ns;
        if (until_ns > update_ns) equal += (until_ns - update_ns) / step_ns;
        sum_j += (double)equal * share * between_j(gpu, update_ns - window_ns, update_ns);
        update_ns += equal * step_ns;
    }
    return sum_j;
}

/* Takes note of a read, and says what reads up to the update had discarded. The stretches that
 * reads discard never overlap, so that no counter runs backwards. Processes that read at the very
 * same moment may lose a note of each other: a lock would hang all when its holder is killed. */
static double discarded_j(Gpu *gpu, int64_t now_ns, int64_t update_ns, int64_t start_ns) {
    if (gpu->lost_start_ns != start_ns) { /* a reset forgets what was lost before it */
        gpu->lost_j = gpu->lost_shown_j = 0;
        gpu->lost_start_ns = start_ns;
        if (gpu->counter_read_ns < start_ns) gpu->counter_read_ns = start_ns;
    }
    int64_t from_ns = now_ns - ns(gpu->read_cost_ms);
    if (from_ns < gpu->counter_read_ns) from_ns = gpu->counter_read_ns;
    if (update_ns > gpu->lost_shown_ns) {
        int64_t until_ns = update_ns > from_ns ? update_ns : from_ns;
        gpu->lost_shown_j = gpu->lost_j + LOST_SHARE * between_j(gpu, from_ns, until_ns);
        gpu->lost_shown_ns = update_ns;
    }
    gpu->lost_j += LOST_SHARE * between_j(gpu, from_ns, now_ns);
    gpu->counter_read_ns = now_ns;
    return gpu->lost_shown_j;
}

unsigned long long counter_mj(Gpu *gpu, int64_t now_ns) {
    __atomic_add_fetch(&gpu->counter_reads, 1, __ATOMIC_RELAXED);
    now_ns = seen(gpu, now_ns);
    int64_t start_ns = gpu->counter_start_ns;
    if (gpu->reset_ns && now_ns >= gpu->reset_ns) start_ns = gpu->reset_ns;
    int64_t update_ns = last_update(
        now_ns, gpu->counter_update_ms, gpu->counter_phase_ms, gpu->counter_latency_ms);
    double lost_j = gpu->read_cost_ms > 0 ? discarded_j(gpu, now_ns, update_ns, start_ns) : 0;
    if (update_ns <= start_ns) return 0;
    double energy_j = gpu->counter_sums_samples ? summed_j(gpu, start_ns, update_ns)
                                                : between_j(gpu, start_ns, update_ns);
    double counted_s = (double)(update_ns - start_ns) * 1e-9;
    if (gpu->counter_of_module) energy_j += gpu->module_extra_w * counted_s;
    energy_j = (energy_j - lost_j) * gpu->gain + gpu->offset_w * counted_s;
    /* The small addition keeps a whole number of mJ from being rounded down to the one before. */
    double steps = floor(energy_j * 1000 / gpu->counter_quantum_mj + 1e-6);
    return steps > 0 ? (unsigned long long)(steps * gpu->counter_quantum_mj) : 0;
}

static uint64_t mix(uint64_t value) { /* splitmix64 */
    value += 0x9e3779b97f4a7c15u;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

/* Standard normal, the same for every reader of this update. */
static double normal(int64_t seed, int index, int channel, int64_t update_ns) {
    uint64_t sensor = mix((uint64_t)seed) ^ (uint64_t)(index * 2 + channel);
    uint64_t hash = mix(mix(sensor) ^ (uint64_t)update_ns);
    double first = ((double)(hash >> 11) + 0.5) * 0x1p-53;
    double second = ((double)(mix(hash) >> 11) + 0.5) * 0x1p-53;
    return sqrt(-2 * log(first)) * cos(2 * 3.14159265358979323846 * second);
}

static double sensed_w(
    Gpu *gpu, int index, int channel, int64_t now_ns, double update_ms, double window_ms) {
    __atomic_add_fetch(&gpu->power_reads, 1, __ATOMIC_RELAXED);
    int64_t window_ns = ns(window_ms);
    int64_t update_ns =
        last_update(seen(gpu, now_ns), update_ms, gpu->power_phase_ms, gpu->power_latency_ms);
    double mean_w = window_ns > 0
        ? between_j(gpu, update_ns - window_ns, update_ns) / ((double)window_ns * 1e-9)
        : gpu->pieces[piece_at(gpu, update_ns)].power_w;
    double error = 0;
    if (gpu->noise > 0) error = gpu->noise * normal(gpu->noise_seed, index, channel, update_ns);
    return mean_w * gpu->gain * (1 + error) + gpu->offset_w;
}

double instant_w(Gpu *gpu, int index, int64_t now_ns) {
    return sensed_w(gpu, index, 0, now_ns, gpu->power_update_ms, gpu->power_window_ms);
}

double usage_w(Gpu *gpu, int index, int64_t now_ns) {
    return sensed_w(gpu, index, 1, now_ns, gpu->usage_update_ms, gpu->usage_window_ms);
}

unsigned power_mw(const Gpu *gpu, double power_w) {
    if (gpu->absurd_w != 0) return (unsigned)(int64_t)llround(gpu->absurd_w * 1000);
    double steps = round(power_w * 1000 / gpu->power_quantum_mw);
    return steps > 0 ? (unsigned)(steps * gpu->power_quantum_mw) : 0;
}
