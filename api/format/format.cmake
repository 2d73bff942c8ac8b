# The renderers' templates are put into the binary by the assembler: a changed one compiles render.c
# again.
file(GLOB renderer_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/api/format/renderers/*.jinja)
set_source_files_properties(api/format/render.c PROPERTIES
  COMPILE_DEFINITIONS "CRIA_RENDERERS=\"${CMAKE_SOURCE_DIR}/api/format/renderers\""
  OBJECT_DEPENDS "${renderer_files}")
