# Fuzz targets. Every fuzz_NAME.c becomes replay_NAME (any compiler) and the ctest fuzz.NAME, which
# replays corpus/NAME and, if there is one, golden/NAME. With clang and -DCRIA_FUZZ=ON it also becomes
# fuzz_NAME, the libFuzzer binary; that build instruments the libraries too (see README.md).
option(CRIA_FUZZ "Build the libFuzzer targets (clang only)" OFF)

if(CRIA_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "CRIA_FUZZ needs clang: cmake -DCMAKE_C_COMPILER=clang-16 -DCRIA_FUZZ=ON")
  endif()
  foreach(folder ${CRIA_FOLDERS})
    if(TARGET cria_${folder})
      target_compile_options(cria_${folder} PRIVATE
        -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
      target_compile_definitions(cria_${folder} PUBLIC CRIA_FUZZ) # smaller limits, where runs are slow
      target_link_options(cria_${folder} PUBLIC -fsanitize=address,undefined)
    endif()
  endforeach()
endif()

file(GLOB fuzz_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/fuzz/fuzz_*.c)
foreach(source ${fuzz_sources})
  get_filename_component(target ${source} NAME_WE)
  string(REGEX REPLACE "^fuzz_" "" name ${target})

  add_executable(replay_${name} ${source} ${CMAKE_SOURCE_DIR}/fuzz/replay.c)
  target_link_libraries(replay_${name} PRIVATE ${previous}) # the last library: it has all others
  set(inputs ${CMAKE_SOURCE_DIR}/fuzz/corpus/${name})
  if(IS_DIRECTORY ${CMAKE_SOURCE_DIR}/golden/${name})
    list(APPEND inputs ${CMAKE_SOURCE_DIR}/golden/${name})
  endif()
  add_test(NAME fuzz.${name} COMMAND replay_${name} ${inputs}
    WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})

  if(CRIA_FUZZ)
    add_executable(${target} ${source})
    target_compile_options(${target} PRIVATE
      -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer,address,undefined)
    target_link_libraries(${target} PRIVATE ${previous})
  endif()
endforeach()
