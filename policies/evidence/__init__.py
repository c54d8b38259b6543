"""What was judged and found, as files that a reviewer can keep: OSCAL, SARIF, JUnit and a page to read."""
