#!/usr/bin/env bash
# What to run first on a real GPU, in this order, from the root of a clone:
#
#     OUT=first-gpu benchmarks/first_gpu.sh 1    # does it work at all?
#     OUT=first-gpu benchmarks/first_gpu.sh 2    # the methods on CIFAR-10
#     OUT=first-gpu benchmarks/first_gpu.sh 3    # sensors, busy share, overhead of the loop
#
# Each ends by itself within 9 minutes and leaves three small files in OUT: a summary, the whole log
# and an archive of the raw records without checkpoints. Nothing is installed into the machine's
# Python and nothing is fetched: wheels of missing packages are taken from the folder `wheels`, if it
# is there, into a scratch folder.
#
#   OUT    where the files go (default: first-gpu)
#   DATA   CIFAR-10: the folder of its published files (`cifar-10-batches-py`), of pictures by class
#          (`train`, `test`), or of a tar of such pictures; without it, random images of CIFAR's size
#   SHORT  =1 tries a script's logic in little time, on a CPU if need be; its figures mean nothing
#   LIMIT_S  in place of 9 minutes
set -uo pipefail
number=${1:-}
case $number in 1 | 2 | 3) ;; *)
    echo "usage: $0 1|2|3" >&2
    exit 2
    ;;
esac
cd "$(dirname "$0")/.." || exit 2
OUT=${OUT:-first-gpu}
SHORT=${SHORT:-}
LIMIT_S=${LIMIT_S:-540}
ENDING_S=20 # to pack what there is
mkdir -p "$OUT" || exit 2
OUT=$(cd "$OUT" && pwd)
scratch=$(mktemp -d)
results=$scratch/results
mkdir "$results"
log=$OUT/$number-log.txt
summary=$OUT/$number-summary.md
: >"$log"
printf '# First GPU, script %s\n\n| step | exit code | s |\n|---|---:|---:|\n' "$number" >"$summary"
export PYTHONUNBUFFERED=1 PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}

finish() {
    trap - EXIT
    {
        printf '\n```\n'
        tail -n 60 "$log"
        printf '```\n'
    } >>"$summary"
    tar -czf "$OUT/$number-records.tar.gz" --exclude='*.pt' --exclude='.lock' -C "$scratch" results
    rm -rf "$scratch"
    cat "$summary"
}
trap finish EXIT
trap 'exit 143' TERM INT

left_s() { echo $((LIMIT_S - ENDING_S - SECONDS)); }

note() { printf '%s\n' "$*" | tee -a "$log" >>"$results/notes.txt"; }

# step NAME SECONDS COMMAND...: it is interrupted after so long, or when the time of all is over,
# and killed if it does not end then.
step() {
    local name=$1 longest=$2 begun=$SECONDS left
    shift 2
    left=$(($(left_s) - 20)) # what an interrupted command needs to end in order
    if ((left < 5)); then
        printf '| %s | no time left | |\n' "$name" >>"$summary"
        return 1
    fi
    printf '\n== %s: %s\n' "$name" "$*" | tee -a "$log"
    timeout --signal=INT --kill-after=20 $((left < longest ? left : longest)) "$@" >>"$log" 2>&1
    local code=$?
    printf '| %s | %s | %s |\n' "$name" "$code" $((SECONDS - begun)) >>"$summary"
    return $code
}

# on_gpu NAME ...: a step that says nothing without a GPU.
on_gpu() {
    if [[ $gpu == True ]]; then
        step "$@"
    else
        printf '| %s | torch sees no GPU | |\n' "$1" >>"$summary"
    fi
}

# study NAME SECONDS ...: a run of the harness that ends in order by its own limit.
study() {
    local name=$1 longest=$2 left
    shift 2
    left=$(($(left_s) - 60))
    longest=$((left < longest ? left : longest))
    ((longest < 1)) && longest=1
    step "$name" $((longest + 40)) python3 -m harness run "$@" --max-time "${longest}s" \
        --out "$results/$name"
}

# What a machine with torch and the usual packages may lack, a distribution a line.
python3 benchmarks/missing_wheels.py >"$scratch/missing" 2>>"$log"
if [[ -s $scratch/missing ]]; then
    note "missing: $(tr '\n' ' ' <"$scratch/missing")"
    if [[ -d wheels ]]; then
        while read -r package; do
            python3 -m pip install -q --no-index --no-deps --no-compile --find-links wheels \
                --target "$scratch/site" "$package" >>"$log" 2>&1 || note "no wheel of $package"
        done <"$scratch/missing"
        export PYTHONPATH=$scratch/site:$PYTHONPATH
    else
        note "there is no folder 'wheels' with them"
    fi
    still=$(python3 benchmarks/missing_wheels.py 2>>"$log" | tr '\n' ' ')
    if [[ -n $still ]]; then
        note "still missing: $still"
        exit 5
    fi
fi
gpu=$(python3 -c 'import torch; print(torch.cuda.is_available())' 2>>"$log")
note "torch $(python3 -c 'import torch; print(torch.__version__)' 2>>"$log"), sees a GPU: $gpu"
command -v nvidia-smi >/dev/null && nvidia-smi -q >"$results/nvidia-smi.txt" 2>&1

# In bf16 where there is a GPU; a CPU may be slow in it.
precision=fp32
[[ $gpu == True ]] && precision=bf16
load=()
[[ $gpu == True ]] && load=(--load)
tiny=()
if [[ -n $SHORT ]]; then
    tiny=(--set training.epochs=1 --set training.batch_size=256)
fi

case $number in
1)
    methods=(dense progressive lottery_ticket early_bird prune_train snip rigl random_ticket)
    [[ -n $SHORT ]] && methods=(dense early_bird)
    step doctor 90 python3 -m harness doctor "${load[@]}"
    study quick 220 quick "${methods[@]}" --seed 0 --set "training.precision=$precision" "${tiny[@]}"
    if [[ -z $SHORT ]]; then
        study compile 90 quick dense early_bird --seed 0 --set training.compile=true \
            --set "training.precision=$precision" --set training.epochs=6 --set energy.idle_s=0
    fi
    if [[ -f benchmarks/graphs_on_gpu.py ]]; then
        on_gpu graphs 60 python3 benchmarks/graphs_on_gpu.py --out "$results/graphs"
    fi
    on_gpu training 240 python3 benchmarks/training_on_gpu.py --rounds 4 --out "$results/training"
    ;;
2)
    images=9999
    [[ -n $SHORT ]] && images=20
    data=$(python3 benchmarks/cifar_for_gpu.py --to "$scratch/data" --images-a-file "$images" \
        2>>"$log") || exit 5
    note "$(tail -n 1 <<<"$data")"
    mapfile -t settings < <(sed '$d' <<<"$data")
    methods=()
    [[ -n $SHORT ]] && methods=(dense) && tiny+=(--set workload.model=vgg_small)
    [[ $gpu == True ]] || tiny+=(--set training.precision=fp32)
    study gpu-acceptance 450 gpu-acceptance "${methods[@]}" --seed 0 "${settings[@]}" "${tiny[@]}"
    ;;
3)
    on_gpu sensors 360 python3 benchmarks/energy_on_gpu.py --repeats 12 --pairs 4 \
        --out "$results/sensors"
    on_gpu busy 60 python3 benchmarks/gpu_busy.py
    rounds=8
    [[ -n $SHORT ]] && rounds=2
    step overhead 120 python3 benchmarks/loop_overhead.py --rounds "$rounds" \
        --json "$results/loop_overhead.json"
    ;;
esac
