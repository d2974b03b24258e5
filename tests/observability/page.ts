import type { AnnotationQuery, Dashboard, GraphFieldConfig } from '@grafana/schema';

// In JSON the value of an enum is its string.
type Plain<T> = 0 extends 1 & T
  ? T
  : T extends string
    ? `${T}`
    : T extends number | boolean | null | undefined
      ? T
      : T extends (infer Each)[]
        ? Plain<Each>[]
        : T extends object
          ? { [Key in keyof T]: Plain<T[Key]> }
          : T;

// `expr` is a key that the Prometheus data source adds to an annotation.
type Mark = Plain<AnnotationQuery> & { expr?: string };

type Page = Plain<Omit<Dashboard, 'annotations'>> & { annotations?: { list?: Mark[] } };
type Curves = Partial<Plain<GraphFieldConfig>>[];

// What follows is written by the test: a Page, and its Curves, for each dashboard.
