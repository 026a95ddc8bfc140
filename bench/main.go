// Command bench runs the Go benchmarks of one area, prints their figures as a table and writes them to
// DIR/AREA.json: flat, name to number, the unit in the name. A benchmark names its figures with b.ReportMetric, such
// as b.ReportMetric(ms, "create_active_p50_ms"); those that Go itself reports (ns/op ...) are named after the benchmark.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/perf/benchfmt"
)

// areas says where each area's benchmarks are.
var areas = map[string]struct {
	packages  []string
	benchmark string
	args      []string
}{
	"start":     {[]string{"./test/e2e"}, "^BenchmarkStart", []string{"-benchtime=1x"}},
	"api":       {[]string{"./api"}, ".", nil},
	"store":     {[]string{"./store/..."}, ".", []string{"-benchmem"}},
	"dataplane": {[]string{"./agent/...", "./haproxy/...", "./firewall/...", "./test/e2e"}, "^Benchmark[^S]", nil},
	"health":    {[]string{"./health/..."}, ".", nil},
}

func main() {
	area := flag.String("area", "start", "which benchmarks: "+strings.Join(slices.Sorted(maps.Keys(areas)), ", "))
	out := flag.String("out", "bench/results", "folder for AREA.json")
	flag.Parse()
	if err := run(*area, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(area, dir string) error {
	a, ok := areas[area]
	if !ok {
		return fmt.Errorf("there is no area %q, only %s", area, strings.Join(slices.Sorted(maps.Keys(areas)), ", "))
	}
	args := slices.Concat([]string{"test", "-run=^$", "-bench=" + a.benchmark, "-timeout=60m"}, a.args, a.packages)
	cmd := exec.Command("go", args...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&output, os.Stderr), os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	figures := map[string]float64{}
	for r := benchfmt.NewReader(&output, area); r.Scan(); {
		if result, ok := r.Result().(*benchfmt.Result); ok {
			collect(figures, result)
		}
	}
	if len(figures) == 0 {
		return fmt.Errorf("no benchmark of area %s ran", area)
	}
	show(os.Stdout, figures)
	return write(filepath.Join(dir, area+".json"), figures)
}

// grid are the figures that are shown beside each other for what they are about, which their names begin with.
var grid = []string{"per_s", "p50_ms", "p99_ms", "cpu_s_per_1000", "database_cpu_s_per_1000", "statements"}

// show prints what has several figures of the grid as a row of it, and all others by themselves.
func show(w io.Writer, figures map[string]float64) {
	rows := map[string]map[string]string{}
	for name, value := range figures {
		row, column := name, ""
		for _, unit := range grid {
			if before, ok := strings.CutSuffix(name, "_"+unit); ok && len(unit) > len(column) {
				row, column = before, unit
			}
		}
		if rows[row] == nil {
			rows[row] = map[string]string{}
		}
		rows[row][column] = fmt.Sprintf("%.4g", value)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer table.Flush()
	headed := false
	for _, row := range slices.Sorted(maps.Keys(rows)) {
		if len(rows[row]) > 1 && !headed {
			fmt.Fprintf(table, "\t%s\t\n", strings.Join(grid, "\t"))
			headed = true
		}
		if len(rows[row]) == 1 {
			for unit, value := range rows[row] {
				fmt.Fprintf(table, "%s\t%s\t\n", strings.TrimSuffix(row+"_"+unit, "_"), value)
			}
			continue
		}
		fmt.Fprintf(table, "%s\t", row)
		for _, unit := range grid {
			fmt.Fprintf(table, "%s\t", rows[row][unit])
		}
		fmt.Fprintln(table)
	}
}

// collect names every figure of one benchmark line.
func collect(figures map[string]float64, r *benchfmt.Result) {
	name, _, _ := strings.Cut(string(r.Name.Full()), "-")
	name = strings.ToLower(strings.NewReplacer("/", "_", "=", "_").Replace(name))
	for _, v := range r.Values {
		value, unit := v.Value, v.Unit
		if v.OrigUnit != "" {
			value, unit = v.OrigValue, v.OrigUnit
		}
		if strings.Contains(unit, "/") {
			unit = name + "_" + strings.NewReplacer("/", "_per_", "B", "bytes").Replace(unit)
		}
		figures[unit] = value
	}
}

func write(path string, figures map[string]float64) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
