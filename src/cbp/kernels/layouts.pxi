# Layouts of matrices: row by row, in panels, in strips.
#
# Gives: CHAIN, STRIP, from_column, packed_panels, padded, panel_count, panel_width, row_length, row_panels, rows_of,
# strip_count, strips_of, transposed.
#
#   panels   of a matrix of n columns: 2 LANES columns wide, each panel row after row; a last panel of LANES columns
#            if that is enough for the rest. B and Delta have this layout; columns past n hold zeros.
#   strips   of a matrix: STRIP columns wide, each strip row after row. The left operand of the weight gradient.

cdef enum:
    STRIP = 6                           # rows of a tile: 6 x 2 vectors of sums leave 4 of 16 registers
    CHAIN = 160                         # products of a sum that are added up in one chain, see products.pxi


cdef inline Py_ssize_t panel_width(Py_ssize_t columns) noexcept nogil:
    """Width of the next panel where `columns` columns are left."""
    return 2 * LANES if columns > LANES else LANES


cdef inline Py_ssize_t padded(Py_ssize_t columns) noexcept nogil:
    """Columns rounded up to whole vectors: the width of all panels together."""
    return (columns + LANES - 1) // LANES * LANES


cdef Py_ssize_t strip_count(Py_ssize_t n_rows) noexcept nogil:
    return (n_rows + STRIP - 1) // STRIP


cdef Py_ssize_t panel_count(Py_ssize_t columns) noexcept nogil:
    return (columns + 2 * LANES - 1) // (2 * LANES)


cdef Py_ssize_t row_length(Py_ssize_t n) noexcept nogil:
    """Reals from row to row of a tile with n columns: whole vectors, and never a multiple of 1 kB, which would
    make the rows of a tile compete for the same lines of the L1 cache."""
    cdef Py_ssize_t ld = padded(n)
    if ld * <Py_ssize_t> sizeof(real) % 1024 == 0:
        ld += LANES
    return ld


cdef inline Rows rows_of(const real* at, Py_ssize_t ld) noexcept nogil:
    """A matrix that lies row by row."""
    cdef Rows rows
    rows.at, rows.row, rows.col, rows.strip = at, ld, 1, STRIP * ld
    return rows


cdef inline Rows strips_of(const real* at, Py_ssize_t capacity) noexcept nogil:
    """Packed strips of a matrix, (capacity, n), as the rows of its transpose."""
    cdef Rows rows
    rows.at, rows.row, rows.col, rows.strip = at, 1, STRIP, STRIP * capacity
    return rows


cdef inline Rows transposed(Rows a) noexcept nogil:
    """Columns of a matrix as rows."""
    cdef Rows columns
    columns.at, columns.row, columns.col, columns.strip = a.at, a.col, a.row, STRIP * a.col
    return columns


cdef inline Panels packed_panels(real* at, Py_ssize_t n_rows, Py_ssize_t first=0) noexcept nogil:
    cdef Panels panels
    panels.at, panels.panel, panels.row, panels.first, panels.continued = at, 2 * LANES * n_rows, 0, first, False
    return panels


cdef inline Panels row_panels(real* at, Py_ssize_t ld) noexcept nogil:
    """A matrix that lies row by row."""
    cdef Panels panels
    panels.at, panels.panel, panels.row, panels.first, panels.continued = at, 2 * LANES, ld, 0, False
    return panels


cdef inline Panels from_column(Panels panels, Py_ssize_t left) noexcept nogil:
    """The panels from a column on; a panel must begin with it."""
    panels.at += left // (2 * LANES) * panels.panel
    return panels
