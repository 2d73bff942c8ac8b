# Tests beside the unit tests: golden data, the order of folders, recorded exchanges, real clients.
# Label "cases": ci/test.sh runs these itself in the release build, to count each case.
find_package(Python3 COMPONENTS Interpreter)

function(cria_add_test name)
  cmake_parse_arguments(T "" "TIMEOUT" "LABELS;COMMAND" ${ARGN})
  add_test(NAME ${name} COMMAND ${T_COMMAND} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS "${T_LABELS}" TIMEOUT ${T_TIMEOUT} SKIP_RETURN_CODE 77)
endfunction()

# ref runs the kinds that compute; cpu all of them. golden/real needs a file that is not part of the
# project (it is skipped without) and takes long.
set(golden_computing "")
foreach(kind models program greedy quants)
  if(IS_DIRECTORY ${CMAKE_SOURCE_DIR}/golden/${kind})
    list(APPEND golden_computing golden/${kind})
  endif()
endforeach()
file(GLOB golden_all CONFIGURE_DEPENDS LIST_DIRECTORIES true RELATIVE ${CMAKE_SOURCE_DIR}
  ${CMAKE_SOURCE_DIR}/golden/*)
list(FILTER golden_all EXCLUDE REGEX "\\.|golden/real$")
cria_add_test(golden.ref LABELS cases TIMEOUT 1200
  COMMAND golden-check --backend ref ${golden_computing})
cria_add_test(golden.cpu LABELS cases TIMEOUT 1200 COMMAND golden-check --backend cpu ${golden_all})
cria_add_test(golden.real LABELS slow TIMEOUT 1200 COMMAND golden-check --backend cpu golden/real)

if(Python3_FOUND)
  cria_add_test(ci.deps TIMEOUT 60 COMMAND ${Python3_EXECUTABLE} ci/deps)
  cria_add_test(ci.grids TIMEOUT 60
    COMMAND ${Python3_EXECUTABLE} kernels/quant/gen_grids.py --check)
  cria_add_test(conformance.matchers TIMEOUT 60
    COMMAND ${Python3_EXECUTABLE} conformance/check_matchers.py)
endif()
if(TARGET cria AND Python3_FOUND)
  cria_add_test(conformance.replay LABELS cases TIMEOUT 900
    COMMAND ${Python3_EXECUTABLE} conformance/run.py --cases golden/api golden/clients
            --bin $<TARGET_FILE:cria> --except conformance/differences.txt)
endif()
if(TARGET cria)
  cria_add_test(conformance.clients LABELS cases TIMEOUT 900
    COMMAND sh ci/pytest.sh $<TARGET_FILE:cria>)
endif()
# Preloaded by tests, never into a release: a disk that fails on command (conformance/test_faults.py), a list of
# whom the program talks to (conformance/test_quiet.py).
if(BUILD_TESTING)
  foreach(name fault netlog)
    add_library(${name} MODULE conformance/${name}.c)
    target_link_libraries(${name} PRIVATE ${CMAKE_DL_LIBS})
    target_compile_options(${name} PRIVATE -Wno-missing-prototypes -fno-sanitize=all
      $<$<C_COMPILER_ID:GNU>:-Wno-nonnull-compare>)
  endforeach()
endif()
