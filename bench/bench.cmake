# Measuring programs; not part of a normal build: cmake --build build --target bench-masks
add_executable(bench-masks EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/bench/masks.c)
target_link_libraries(bench-masks PRIVATE cria_engine)
add_executable(bench-keys EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/bench/keys.c)
target_link_libraries(bench-keys PRIVATE cria_api)
