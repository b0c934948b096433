// Reads what was scraped and PromQL queries from standard input, as one JSON object, and prints what each query makes of it over
// a range of time, one JSON array of series a line.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb"
)

// Times are in milliseconds. A value is a text, because JSON has no NaN; without one the series ends there.
type sample struct {
	Time  int64   `json:"time"`
	Value *string `json:"value"`
}

type series struct {
	Labels  map[string]string `json:"labels"`
	Samples []sample          `json:"samples"`
}

type input struct {
	Series  []series `json:"series"`
	Queries []string `json:"queries"`
	Start   int64    `json:"start"`
	End     int64    `json:"end"`
	Step    int64    `json:"step"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "promql:", err)
		os.Exit(1)
	}
}

func run() error {
	var given input
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "setpoint-promql-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	options := tsdb.DefaultOptions()
	// One block takes it all, in whatever order the series come.
	options.MinBlockDuration = (24 * time.Hour).Milliseconds()
	options.MaxBlockDuration = options.MinBlockDuration
	db, err := tsdb.Open(folder, nil, nil, options, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := fill(db, given.Series); err != nil {
		return err
	}
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 10_000_000,
		Timeout:    time.Minute,
		Parser:     parser.NewParser(parser.Options{}),
	})
	out := json.NewEncoder(os.Stdout)
	for _, text := range given.Queries {
		found, err := ask(engine, db, text, given)
		if err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
		if err := out.Encode(found); err != nil {
			return err
		}
	}
	return nil
}

func fill(db *tsdb.DB, all []series) error {
	ctx := context.Background()
	appender := db.Appender(ctx)
	for _, one := range all {
		named := labels.FromMap(one.Labels)
		for _, point := range one.Samples {
			number := math.Float64frombits(value.StaleNaN)
			if point.Value != nil {
				var err error
				if number, err = strconv.ParseFloat(*point.Value, 64); err != nil {
					return err
				}
			}
			if _, err := appender.Append(0, named, point.Time, number); err != nil {
				return fmt.Errorf("%s: %w", named, err)
			}
		}
	}
	return appender.Commit()
}

func ask(engine *promql.Engine, db *tsdb.DB, text string, given input) ([]series, error) {
	ctx := context.Background()
	step := time.Duration(given.Step) * time.Millisecond
	query, err := engine.NewRangeQuery(ctx, db, nil, text, time.UnixMilli(given.Start), time.UnixMilli(given.End), step)
	if err != nil {
		return nil, err
	}
	defer query.Close()
	matrix, err := query.Exec(ctx).Matrix()
	if err != nil {
		return nil, err
	}
	found := []series{}
	for _, one := range matrix {
		answer := series{Labels: one.Metric.Map(), Samples: []sample{}}
		for _, point := range one.Floats {
			number := strconv.FormatFloat(point.F, 'g', -1, 64)
			answer.Samples = append(answer.Samples, sample{point.T, &number})
		}
		found = append(found, answer)
	}
	return found, nil
}
