"""The evidence of a judgement as files: OSCAL, SARIF, JUnit, an HTML page, and a pull-request comment."""
