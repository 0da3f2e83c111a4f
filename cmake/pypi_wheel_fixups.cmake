# Included by project() when the interfaces are built against the ros-kilted-* wheels of PyPI (see wheel_build.py).
#
# rosidl exports the target <package>__rosidl_generator_py with the absolute include folders of Python and NumPy on the
# machine that built it. That breaks wheels twice, and both are put right once everything is configured:
# - The wheels of the other packages name folders that do not exist here, where CMake stops: drop them from the imported
#   targets. The wheels' own files stay as they are.
# - Ours would name folders of this machine, and CMake stops where they lie in the source folder, as those of .venv do:
#   keep them to this build.
function(pose_tracking_include_folders_for_wheels)
  get_directory_property(targets IMPORTED_TARGETS)
  list(FILTER targets INCLUDE REGEX "__rosidl_generator_py$")
  set(own ${PROJECT_NAME}__rosidl_generator_py)
  if(TARGET ${own})
    list(APPEND targets ${own})
  endif()
  foreach(target IN LISTS targets)
    get_target_property(folders ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT folders)
      continue()
    endif()
    set(kept "")
    foreach(folder IN LISTS folders)
      if(folder MATCHES "^\\$<")
        list(APPEND kept "${folder}")
      elseif(IS_DIRECTORY "${folder}")
        list(APPEND kept "$<BUILD_INTERFACE:${folder}>")
      endif()
    endforeach()
    set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${kept}")
  endforeach()
endfunction()

cmake_language(DEFER CALL pose_tracking_include_folders_for_wheels)
