-- Datums that err_cmd recovered from run again in the next job (ENGINE S4): found by this.
CREATE INDEX datum_recovered ON datum(pipeline, num) WHERE state = 'recovered';
