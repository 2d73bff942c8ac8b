# The instruction sets of the CPU kernels: one source, one set of flags. Only isa_*.c may have flags
# of its own (isa.h); everything else is compiled for the base instruction set and runs everywhere.
# -O3: the tiles of dot.inc are loops over constants that must be unrolled whole.
function(cria_isa name)
  set_source_files_properties(${CMAKE_SOURCE_DIR}/kernels/cpu/isa_${name}.c
    PROPERTIES COMPILE_OPTIONS "-O3;${ARGN}")
endfunction()

cria_isa(scalar)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(avx2 -mavx2 -mfma -mf16c)
  set(avx512 ${avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512)
  cria_isa(avx2 ${avx2})
  cria_isa(avx512 ${avx512})
  cria_isa(avx512vnni ${avx512} -mavx512vnni)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  cria_isa(neon)
  cria_isa(dotprod -march=armv8.2-a+dotprod)
endif()
