"""What PyInstaller adds to a program besides modules: data, and metadata, which tell the version."""

from PyInstaller.utils.hooks import collect_data_files, copy_metadata

datas = collect_data_files("cbp", includes=["data/*"]) + copy_metadata("cython-backprop")
