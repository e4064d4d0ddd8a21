"""Makes PyInstaller add to a program the data files of cbp, and its metadata, which hold the version."""

from PyInstaller.utils.hooks import collect_data_files, copy_metadata

datas = collect_data_files("cbp", includes=["data/*"]) + copy_metadata("cython-backprop")
