# Included by project() when the interfaces are built against the ros-kilted-* wheels of PyPI (see wheel_build.py).
#
# The exported <package>__rosidl_generator_py targets of those wheels list include folders of the machine that made
# them; CMake stops at an include folder that does not exist. Once everything is configured, drop such folders from
# the imported targets. The wheels' own files stay as they are.
function(pose_tracking_drop_absent_include_folders)
  get_directory_property(imported IMPORTED_TARGETS)
  list(FILTER imported INCLUDE REGEX "__rosidl_generator_py$")
  foreach(target IN LISTS imported)
    get_target_property(folders ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT folders)
      continue()
    endif()
    set(present "")
    foreach(folder IN LISTS folders)
      if(folder MATCHES "^\\$<" OR IS_DIRECTORY "${folder}")
        list(APPEND present "${folder}")
      endif()
    endforeach()
    set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${present}")
  endforeach()
endfunction()

cmake_language(DEFER CALL pose_tracking_drop_absent_include_folders)
