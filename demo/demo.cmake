# The embedded model: a library of its own, so that only this file is assembled anew when the model
# changes. Until demo/cria-tiny.gguf exists the binary is built without one.
file(GLOB demo_model CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/demo/cria-tiny.gguf)
add_library(cria_demo STATIC demo/embed.c)
if(demo_model)
  set(demo_files ${demo_model} ${CMAKE_SOURCE_DIR}/demo/cria-tiny.template
    ${CMAKE_SOURCE_DIR}/demo/cria-tiny.params)
  target_compile_definitions(cria_demo PRIVATE CRIA_DEMO_DIR="${CMAKE_SOURCE_DIR}/demo")
  set_source_files_properties(demo/embed.c PROPERTIES OBJECT_DEPENDS "${demo_files}")
else()
  message(WARNING "demo/cria-tiny.gguf is missing: cria will have no built-in model")
endif()
