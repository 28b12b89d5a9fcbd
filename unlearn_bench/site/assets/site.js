// Tables are DataTables' and plots are Plotly's; here is only what joins them to the page's data. Cells come escaped.
"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);

  // A cell is [html, sort key]; DataTables asks for it once per purpose.
  const render = (cell, type) => (type === "sort" || type === "type" ? cell[1] : cell[0]);

  const makeTable = (table) => {
    const config = read(table.dataset.source);
    const label = table.dataset.label;
    const made = new DataTable(table, {
      data: config.rows,
      columns: config.columns.map((column, index) => ({
        // The titles stand in the page's own head, as text: DataTables would read them as HTML.
        className: column.className, data: index, render, orderSequence: ["desc", "asc"],
        visible: column.visible !== false, type: column.type, ...(column.first ? { orderSequence: [column.first, column.first === "asc" ? "desc" : "asc"] } : {}),
      })),
      order: config.order, paging: config.rows.length > 25, pageLength: 25, lengthMenu: [25, 100, 500], deferRender: true, autoWidth: false,
      language: { search: `Search ${label}:`, info: `_START_ to _END_ of _TOTAL_ ${label}`, lengthMenu: "Show _MENU_", zeroRecords: "Nothing matches." },
    });
    for (const control of document.querySelectorAll(`[data-table="${table.id}"]`)) {
      const apply = () => {
        const value = control.type === "checkbox" ? (control.checked ? control.value : "") : control.value;
        const pattern = value ? ` ${value} ` : "";
        made.column(Number(control.dataset.column)).search(pattern, false, false).draw();
      };
      control.addEventListener("change", apply);
      apply();
    }
    document.documentElement.dataset.ready = "yes";
    return made;
  };

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const colours = () => ({ paper_bgcolor: css("--bg"), plot_bgcolor: css("--bg"), "font.color": css("--fg"),
    "xaxis.gridcolor": css("--line"), "yaxis.gridcolor": css("--line"), "xaxis.zerolinecolor": css("--line"), "yaxis.zerolinecolor": css("--line") });

  const makePlot = (holder) => {
    const figure = read(holder.dataset.source);
    if (holder.clientWidth < 640) for (const trace of figure.data) if (trace.mode) trace.mode = "markers";
    Plotly.newPlot(holder, figure.data, figure.layout, { responsive: true, displaylogo: false, displayModeBar: false })
      .then(() => Plotly.relayout(holder, colours()));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => Plotly.relayout(holder, colours()));
    holder.on("plotly_click", (event) => {
      const target = event.points[0].customdata;
      if (target) location.href = target[0];
    });
  };

  document.querySelectorAll("table[data-source]").forEach(makeTable);
  // The table first: a plot of thousands of points must not keep the reader waiting.
  setTimeout(() => document.querySelectorAll(".plot[data-source]").forEach(makePlot), 30);
})();
