# The instruction sets of the CPU kernels: one source, one set of flags. Only isa_*.c (isa.h) and
# encode_*.c (encode.h) may have flags of their own; everything else is compiled for the base
# instruction set and runs everywhere.
# -O3: the tiles of dot.inc are loops over constants that must be unrolled whole. With sanitizers that
# takes a minute of compiling for each file, so there -O1, and of the undefined-behaviour checks those
# that look at every single access are left to the scalar build and to ASan. clang 16 takes 20 GB for
# the other checks in a file, so it does without any.
if((CRIA_SAN OR CRIA_FUZZ) AND CMAKE_C_COMPILER_ID MATCHES "Clang")
  set(cria_isa_flags -O1 -fno-sanitize=undefined)
elseif(CRIA_SAN)
  set(cria_isa_flags -O1 -fno-sanitize=alignment,null,object-size,pointer-overflow,bounds)
else()
  set(cria_isa_flags -O3)
  # No outside bytes are parsed here, only multiplied: zeroing each tile before it is filled, and guarding
  # arrays whose bounds are constants, is what hardening would cost (CRIA_HARDENED).
  if(has_ftrivial_auto_var_init_zero)
    list(APPEND cria_isa_flags -ftrivial-auto-var-init=uninitialized -fno-stack-protector)
  endif()
endif()
function(cria_flags file)
  set_source_files_properties(${CMAKE_SOURCE_DIR}/kernels/${file}
    PROPERTIES COMPILE_OPTIONS "${cria_isa_flags};${ARGN}")
endfunction()
function(cria_isa name)
  cria_flags(cpu/isa_${name}.c ${ARGN})
endfunction()

cria_flags(encode_base.c)
cria_isa(scalar)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(avx2 -mavx2 -mfma -mf16c)
  set(avx512 ${avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512)
  cria_flags(encode_avx2.c -mavx2)
  cria_isa(avx2 ${avx2})
  cria_isa(avx512 ${avx512})
  cria_isa(avx512vnni ${avx512} -mavx512vnni)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  cria_isa(neon)
  cria_isa(dotprod -march=armv8.2-a+dotprod)
endif()
